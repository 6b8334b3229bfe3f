import { connect as dial } from "node:net";
import { connect, type MillraceClient } from "@millrace/sdk";
import type { Settings } from "../settings.js";
import type { Kubectl } from "./kubectl.js";
import { fullName } from "./release.js";

export interface Gateway extends AsyncDisposable {
  client: MillraceClient;
  address: string;
}

/**
 * By a node's port where this machine reaches nodes: it leads to whichever gateway is ready. Else by a
 * forwarded port, which ends with its pod.
 */
export async function openGateway(settings: Settings, kubectl: Kubectl): Promise<Gateway> {
  const forwarded = settings.gateway === undefined ? await forwardUnlessReached(kubectl) : undefined;
  const address = settings.gateway ?? forwarded?.address ?? "";
  const client = connect({
    address,
    token: await kubectl.secret(`${fullName}-auth`, "token"),
    tls: { ca: await kubectl.secret(`${fullName}-gateway-public-tls`, "ca.crt") },
  });
  return {
    client,
    address,
    async [Symbol.asyncDispose]() {
      await client.close();
      forwarded?.close();
    },
  };
}

async function forwardUnlessReached(kubectl: Kubectl): Promise<{ address: string; close: () => void }> {
  const address = await nodeAddress(kubectl);
  if (address !== undefined && (await isReached(address))) return { address, close: () => undefined };
  const { port, close } = await kubectl.forward(`service/${fullName}-gateway`, 7070);
  return { address: `127.0.0.1:${port}`, close };
}

async function nodeAddress(kubectl: Kubectl): Promise<string | undefined> {
  const path = "{.items[0].status.addresses[?(@.type=='InternalIP')].address}";
  const host = await kubectl(["get", "nodes", "-o", `jsonpath=${path}`]);
  const { spec } = await kubectl.get("service", `${fullName}-gateway`);
  const ports = spec?.["ports"] as { nodePort?: number }[] | undefined;
  const port = ports?.[0]?.nodePort;
  return port === undefined ? undefined : `${host.trim()}:${port}`;
}

function isReached(address: string): Promise<boolean> {
  const [host = "", port = ""] = address.split(":");
  return new Promise((resolve) => {
    const socket = dial({ host, port: Number(port), timeout: 2_000 });
    const end = (reached: boolean): void => {
      socket.destroy();
      resolve(reached);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false)).once("timeout", () => end(false));
  });
}
