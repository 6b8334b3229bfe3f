import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { CodedError } from "@millrace/errors";
import type { Component, Lifecycle } from "./lifecycle.js";
import type { Metrics } from "./metrics.js";

export interface HealthServer extends Component {
  port(): number;
}

/** `/livez` (the process answers), `/readyz` (every component is well; `?verbose` lists them), `/metrics`. */
export function createHealthServer(
  listen: { host: string; port: number },
  lifecycle: () => Lifecycle,
  metrics: Metrics,
): HealthServer {
  const server = createServer((request, response) => {
    // Not parsed as a URL: `//` is none, and whoever sends it must not end the process.
    const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
    const verbose = new URLSearchParams(query).has("verbose");
    const reply = (status: number, text: string, type = "text/plain"): void => {
      response.writeHead(status, { "content-type": type }).end(text);
    };
    if (path === "/livez" || path === "/healthz") return reply(200, "ok\n");
    if (path === "/readyz") {
      const sentences = lifecycle().unhealthy();
      const lines = [...sentences].map(([name, sentence]) => `${name}: ${sentence}\n`).join("");
      return reply(sentences.size === 0 ? 200 : 503, verbose || lines !== "" ? lines || "ok\n" : "ok\n");
    }
    if (path === "/metrics") {
      metrics.text().then(
        (text) => reply(200, text, "text/plain; version=0.0.4"),
        () => reply(500, "metrics failed\n"),
      );
      return;
    }
    reply(404, "not found\n");
  });
  // Probes and scrapes are short; whoever dawdles is cut.
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  return {
    name: "health-server",
    port: () => (server.address() as AddressInfo | null)?.port ?? 0,
    start: () =>
      new Promise((resolve, reject) => {
        server.once("error", (cause: NodeJS.ErrnoException) =>
          reject(listenError(cause, listen, "http.port")),
        );
        server.listen(listen.port, listen.host, resolve);
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A listen failure as a person needs it: which setting, and what to do. */
export function listenError(
  cause: NodeJS.ErrnoException,
  listen: { host: string; port: number },
  field: string,
): CodedError {
  const address = `${listen.host}:${listen.port}`;
  if (cause.code === "EADDRINUSE" || /address already in use/i.test(cause.message)) {
    return new CodedError("failed_precondition", `listen on ${address}: port ${listen.port} is in use`, {
      field,
      remedy: "Stop what uses it or set another port.",
      cause,
    });
  }
  return new CodedError("failed_precondition", `listen on ${address}: ${cause.message}`, { field, cause });
}
