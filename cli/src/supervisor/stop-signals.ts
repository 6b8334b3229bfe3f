/** SIGHUP: the terminal was closed. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface StopRequest {
  /** The first signal: an orderly stop. */
  stop: (signal: NodeJS.Signals) => void;
  /** The second: at once. */
  kill: (signal: NodeJS.Signals) => void;
}

/**
 * Listens until the returned function is called. npm and the terminal may both send one Ctrl-C: see `echoMs`.
 */
export function onStopSignals(request: StopRequest, now: () => number): () => void {
  let firstMs: number | undefined;
  const listen = (signal: NodeJS.Signals) => {
    if (firstMs === undefined) {
      firstMs = now();
      request.stop(signal);
    } else if (now() - firstMs >= echoMs) request.kill(signal);
  };
  for (const signal of signals) process.on(signal, listen);
  return () => {
    for (const signal of signals) process.off(signal, listen);
  };
}

/** The same key press that arrives twice does so within a few milliseconds; a person needs longer. */
const echoMs = 200;
