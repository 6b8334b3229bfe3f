import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { TLSSocket } from "node:tls";
import { type Component, listenError } from "@millrace/runtime";
import type { KeyPair } from "./access/key-pair.js";
import type { Peer } from "./access/identity.js";
import type { ApiRequest } from "./handlers/answer-request.js";
import type { Reply } from "./api/reply.js";

export interface ApiServer extends Component {
  port(): number;
  /** Presents another certificate, or believes another CA, from the next connection on. */
  renew(pair: KeyPair, ca: string | undefined): void;
}

export interface ApiServerOptions {
  listen: { host: string; port: number };
  pair: KeyPair;
  answer(request: ApiRequest): Promise<Reply>;
}

/** HTTPS that asks for a client certificate. Whose it is `answer` judges, so that probes need none. */
export function createApiServer({ listen, pair, answer }: ApiServerOptions): ApiServer {
  // Without a CA nobody is verified: an empty list, since to leave it out means every CA that Node knows.
  const believe = ({ cert, key }: KeyPair, ca: string | undefined) => ({
    cert,
    key,
    ca: ca === undefined ? [] : [ca],
    minVersion: "TLSv1.2" as const,
  });
  /** The CA that was in force when a connection was made: a later one does not vouch for it. */
  let inForce = {};
  let caInForce: string | undefined;
  const madeUnder = new WeakMap<object, object>();

  const peerOf = (socket: object): Peer => {
    if (!(socket instanceof TLSSocket)) return { commonName: undefined, isVerified: false };
    const certificate = socket.getPeerCertificate();
    // A resumed session counts as verified without one.
    if (certificate.raw === undefined) return { commonName: undefined, isVerified: false };
    const { CN } = certificate.subject;
    const isVerified = socket.authorized && madeUnder.get(socket) === inForce;
    return { commonName: Array.isArray(CN) ? CN.join("+") : CN, isVerified };
  };
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const peer = peerOf(request.socket);
    const { method = "GET", url = "/", headersDistinct: headers } = request;
    const { status, body } = await answer({ method, url, headers, peer });
    const isText = typeof body === "string";
    response.writeHead(status, {
      "content-type": isText ? "text/plain" : "application/json",
      // Whoever was not known may be on the next connection, by the CA of then.
      ...(status === 401 ? { connection: "close" } : {}),
    });
    response.end(isText ? body : JSON.stringify(body));
  };
  const server = createServer(
    { ...believe(pair, undefined), requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      request.resume();
      void respond(request, response);
    },
  );
  server.on("secureConnection", (socket: TLSSocket) => madeUnder.set(socket, inForce));
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  return {
    name: "api-server",
    port: () => (server.address() as AddressInfo | null)?.port ?? 0,
    renew: (next, ca) => {
      server.setSecureContext(believe(next, ca));
      if (ca === caInForce) return;
      caInForce = ca;
      inForce = {};
      server.closeIdleConnections();
    },
    start: () =>
      new Promise((resolve, reject) => {
        const refuse = (cause: NodeJS.ErrnoException): void =>
          reject(listenError(cause, listen, "serving.port"));
        server.once("error", refuse);
        server.listen(listen.port, listen.host, () => {
          server.off("error", refuse);
          resolve();
        });
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
