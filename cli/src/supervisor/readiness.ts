import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Readiness } from "./program-spec.js";

const pollMs = 50;
const probeTimeoutMs = 1_000;

/** Resolves when the program is up by an address that it serves; ends with `signal` otherwise. */
export async function untilServing(readiness: Readiness, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if (await isServing(readiness, signal)) return;
    await sleep(pollMs, undefined, { signal }).catch(() => {});
  }
}

/** One look; a program that tells by a line serves no address that we know. */
async function isServing(readiness: Readiness, signal: AbortSignal): Promise<boolean> {
  switch (readiness.kind) {
    case "http":
      return answersOk(readiness.url, signal);
    case "tcp":
      return accepts(readiness.host, readiness.port);
    case "line":
      return false;
  }
}

/** Whether somebody accepts connections at the address where the program is going to serve. */
export async function isTaken(readiness: Readiness): Promise<number | undefined> {
  if (readiness.kind === "line") return undefined;
  const { host, port } = readiness.kind === "tcp" ? readiness : addressOf(readiness.url);
  return (await accepts(host, port)) ? port : undefined;
}

/** As it stands in the error of a start that took too long. */
export function describeReadiness(readiness: Readiness): string {
  switch (readiness.kind) {
    case "http":
      return `${readiness.url} did not answer 200`;
    case "tcp":
      return `${readiness.host}:${readiness.port} did not accept a connection`;
    case "line":
      return `it did not print ${readiness.pattern}`;
  }
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname, port: Number(port || (protocol === "https:" ? 443 : 80)) };
}

async function answersOk(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const limits = AbortSignal.any([signal, AbortSignal.timeout(probeTimeoutMs)]);
    const response = await fetch(url, { signal: limits });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: probeTimeoutMs });
    const settle = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
    socket.once("timeout", () => settle(false));
  });
}
