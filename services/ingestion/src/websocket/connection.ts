import http from "node:http";
import https from "node:https";
import type { LookupFunction, TcpSocketConnectOpts } from "node:net";
import type { CodedError } from "@millrace/errors";
import WebSocket, { type ClientOptions } from "ws";
import { brokenBy, closedWith, refusedWith, silent, slowHandshake } from "./close-reason.js";

/** Bounds of what a peer may send: it is not trusted. */
const bounds = {
  /** Above, the connection is closed with 1009. */
  maxPayload: 1024 * 1024,
  /** Of one message: each costs far more memory than its bytes. Above, closed with 1008. */
  maxFragments: 128,
  /** Pieces of the socket's reading that are held for one frame. */
  maxBufferedChunks: 1024,
  /** Deflate keeps a window per connection, and a few bytes may inflate to many. */
  perMessageDeflate: false,
  followRedirects: false,
  /** How long a peer may take to answer our close frame. */
  closeTimeout: 1_000,
} as const;
const handshakeMsMax = 10_000;
const pongMsMax = 10_000;

export interface ConnectionOptions {
  url: URL;
  /** Answers with the addresses that were checked. */
  lookup: LookupFunction;
  /** Trusted besides the system's, in PEM. */
  ca: string[] | undefined;
  headers: Record<string, string>;
  subprotocols: readonly string[];
  pingIntervalMs: number;
  /** Sent along with each ping, for peers that want one of their own. */
  pingFrame: string | undefined;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  onOpen(connection: Connection): void;
  onMessage(data: Buffer, isBinary: boolean): void;
}

export interface Connection {
  send(frame: string): void;
  /** Reads nothing more from the socket; what was read already may still come. */
  pause(): void;
  resume(): void;
}

/**
 * One connection, from the handshake to its end; resolves with the reason for that. It ends as well when the
 * signal is aborted.
 *
 *   connecting ──101──► open ──close frame, error, silence──► ended
 *       └──other answer, error, 10 s──────────────────────────►┘
 */
export async function connection(options: ConnectionOptions, signal: AbortSignal): Promise<CodedError> {
  const ended = new AbortController();
  const { lookup, ca, headers, subprotocols } = options;
  const { Agent } = options.url.protocol === "wss:" ? https : http;
  // The typings lag behind and don't know all of the bounds.
  const settings: ClientOptions & typeof bounds & Pick<TcpSocketConnectOpts, "lookup"> = {
    ...bounds,
    headers,
    lookup,
    // Of its own: not a pool's connection, which was checked for somebody else, nor through a proxy.
    agent: new Agent({ keepAlive: false }),
    ...(ca === undefined ? {} : { ca }),
  };
  try {
    const socket = new WebSocket(options.url, [...subprotocols], settings);
    return await follow(socket, options, { signal, ended });
  } catch (caught) {
    return brokenBy(caught);
  } finally {
    ended.abort();
  }
}

interface Ends {
  signal: AbortSignal;
  ended: AbortController;
}

function follow(socket: WebSocket, options: ConnectionOptions, { signal, ended }: Ends): Promise<CodedError> {
  let isPaused = false;
  let isHeard = false;
  const heard = (): void => {
    isHeard = true;
  };
  return new Promise((resolve) => {
    /** The first reason is the one; what follows from it says less. */
    let reason: CodedError | undefined;
    const because = (error: CodedError): void => {
      reason ??= error;
    };
    const open: Connection = {
      send: (frame) => socket.send(frame),
      pause: () => {
        isPaused = true;
        socket.pause();
      },
      resume: () => {
        isPaused = false;
        // Who was not read could not be heard.
        heard();
        socket.resume();
      },
    };
    socket.on("unexpected-response", (request, response) => {
      const { statusCode = 0, headers } = response;
      because(refusedWith({ status: statusCode, retryAfter: headers["retry-after"] }));
      // Its body is not read.
      request.destroy();
      socket.terminate();
    });
    socket.on("error", (error) => because(brokenBy(error)));
    socket.on("close", (code) => {
      signal.removeEventListener("abort", end);
      resolve(reason ?? closedWith(code));
    });
    socket.on("ping", heard);
    socket.on("pong", heard);
    socket.on("message", (data, isBinary) => {
      heard();
      options.onMessage(data as Buffer, isBinary);
    });
    socket.on("open", () => options.onOpen(open));
    const end = (): void => (socket.readyState === WebSocket.OPEN ? socket.close(1000) : socket.terminate());
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();

    /** Lets the peer learn why we close, but does not wait for it for long. */
    const watch = async (): Promise<void> => {
      await options.sleep(handshakeMsMax, ended.signal);
      if (socket.readyState === WebSocket.CONNECTING) {
        because(slowHandshake(handshakeMsMax / 1000));
        socket.terminate();
      }
      while (!ended.signal.aborted) {
        await options.sleep(options.pingIntervalMs, ended.signal);
        if (socket.readyState !== WebSocket.OPEN || isPaused) continue;
        isHeard = false;
        socket.ping();
        if (options.pingFrame !== undefined) socket.send(options.pingFrame);
        await options.sleep(pongMsMax, ended.signal);
        if (ended.signal.aborted || isHeard || isPaused) continue;
        because(silent(pongMsMax / 1000));
        socket.terminate();
      }
    };
    void watch();
  });
}
