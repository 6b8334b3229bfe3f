import { CodedError } from "@millrace/errors";
import type { Clock, Component, Logger } from "@millrace/runtime";

export interface KeyPair {
  cert: Buffer;
  key: Buffer;
}

/** The certificate that is served, read again and again: whoever issued it renews it in its files. */
export interface KeyPairSource extends Component {
  current(): KeyPair;
}

export interface KeyPairOptions {
  /** Errors name the file that is bad: it can't be read, or does not fit the other. */
  read(): KeyPair;
  onChange(pair: KeyPair): void;
  clock: Clock;
  log: Logger;
}

const againMs = 10_000;

/** Errors: those of `read`, of the first time. */
export function createKeyPairSource(options: KeyPairOptions): KeyPairSource {
  const { clock, log } = options;
  const stopping = new AbortController();
  let pair = options.read();

  const readAgain = (): void => {
    const next = options.read();
    if (next.cert.equals(pair.cert) && next.key.equals(pair.key)) return;
    pair = next;
    options.onChange(pair);
    log.info("serves with a renewed certificate");
  };
  const loop = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(againMs, stopping.signal);
      if (stopping.signal.aborted) return;
      try {
        readAgain();
      } catch (caught) {
        // Between the writes of its two files they don't fit: the next time they do.
        const error = CodedError.from(caught, "read certificate").message;
        log.warn("certificate not read again, the last one stands", { error });
      }
    }
  };
  let running: Promise<void> | undefined;
  return {
    name: "serving-certificate",
    start: async () => {
      running = loop();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
    current: () => pair,
  };
}
