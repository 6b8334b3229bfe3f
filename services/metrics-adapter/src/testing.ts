import { readFile } from "node:fs/promises";
import { request } from "node:https";
import { type NatsServer, startNats } from "@millrace/messaging/testing";
import { createLifecycle, type Lifecycle, parseConfig, silentLogger, type TlsFiles } from "@millrace/runtime";
import { eventually, type TestAuthority, testRuntime } from "@millrace/runtime/testing";
import type { ApiServer } from "./api-server.js";
import { metricsAdapterConfig } from "./config.js";
import { metricsAdapter } from "./service.js";
import { startCluster, type TestCluster } from "./test-cluster.js";

export interface Answer {
  status: number;
  type: string;
  body: Record<string, unknown>;
}

/** By whom and how something is asked. */
export interface Asking {
  /** Name of the client certificate; null: none. Default: the API server's. */
  as?: string | null;
  /** Issued by the servers' CA instead. */
  isForeign?: boolean;
  method?: string;
  headers?: Record<string, string | string[]>;
}

export interface RunningAdapter {
  cluster: TestCluster;
  nats: NatsServer;
  lifecycle: Lifecycle;
  get(path: string, asking?: Asking): Promise<Answer>;
  /** The value of one metric of `millrace`, as a string; a failure is `code message`. */
  value(metric: string, selector?: string): Promise<string>;
  stop(): Promise<void>;
}

export const api = "/apis/external.metrics.k8s.io/v1beta1";

/** The adapter between a real broker and a cluster's API, ready to answer. */
export async function startAdapter(scrape: Record<string, string> = {}): Promise<RunningAdapter> {
  const cluster = await startCluster();
  const nats = await startNats();
  const serving = await cluster.servers.issue("metrics-adapter");
  const { certFile, keyFile } = serving;
  const given = {
    namespace: "millrace",
    nats: { url: nats.url, seedFile: `${nats.keysDir}/metrics-adapter.nk` },
    serving: { port: 0, certFile, keyFile },
    kubernetes: { kubeconfig: cluster.kubeconfig },
    scrape,
  };
  const components = await metricsAdapter(parseConfig(metricsAdapterConfig, given, "test"), testRuntime());
  const lifecycle = createLifecycle(components, silentLogger);
  await lifecycle.start();
  const server = components.find(({ name }) => name === "api-server") as ApiServer;
  const get = (path: string, asking: Asking = {}): Promise<Answer> =>
    ask(cluster, server.port(), path, asking);
  await eventually(async () => (await get("/readyz", { as: null })).status === 200, { what: "ready" });
  return {
    cluster,
    nats,
    lifecycle,
    get,
    value: async (metric, selector = "") => {
      const query = `labelSelector=${encodeURIComponent(selector)}`;
      const { status, body } = await get(`${api}/namespaces/millrace/${metric}?${query}`);
      if (status !== 200) return `${status} ${String(body["message"])}`;
      return (body["items"] as { value: string }[]).map(({ value }) => value).join(" ");
    },
    stop: async () => {
      await lifecycle.stop(500);
      await nats.stop();
      await cluster.stop();
    },
  };
}

/** Certificates by authority and name: issued twice, one would be written while it is read. */
const issuedBy = new WeakMap<TestAuthority, Map<string, Promise<TlsFiles>>>();

function issueOnce(authority: TestAuthority, name: string): Promise<TlsFiles> {
  const known = issuedBy.get(authority) ?? new Map<string, Promise<TlsFiles>>();
  issuedBy.set(authority, known);
  const issued = known.get(name) ?? authority.issue(name);
  known.set(name, issued);
  return issued;
}

async function ask(
  cluster: TestCluster,
  port: number,
  path: string,
  { as = "front-proxy-client", isForeign = false, method = "GET", headers = {} }: Asking,
): Promise<Answer> {
  const authority = isForeign ? cluster.servers : cluster.proxies;
  const issued = as === null ? undefined : await issueOnce(authority, as);
  const client =
    issued === undefined
      ? {}
      : { cert: await readFile(issued.certFile), key: await readFile(issued.keyFile) };
  const ca = await readFile(cluster.servers.caFile);
  const user = as === null ? {} : { "x-remote-user": "system:autoscaler" };
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: "127.0.0.1",
        port,
        path,
        method,
        ca,
        ...client,
        headers: { ...user, ...headers },
        agent: false,
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          const type = response.headers["content-type"] ?? "";
          const body = type === "application/json" ? (JSON.parse(text) as Record<string, unknown>) : { text };
          resolve({ status: response.statusCode ?? 0, type, body });
        });
      },
    );
    call.on("error", reject).end();
  });
}
