import { CodedError } from "@millrace/errors";
import type { LedgerLag } from "../lag/ledger-lag.js";
import { waitingStreams } from "../lag/waiting-streams.js";

export interface LedgerSamples {
  take(): Promise<void>;
  /** Messages that wait for the stage, of the streams that have batches there. Errors: `unavailable`. */
  messages(stage: string): number;
  /** The same in bytes, by the live bytes of each stream. Errors: `unavailable`. */
  bytes(stage: string, liveBytes: ReadonlyMap<string, number>): number;
}

export interface LedgerSamplesOptions {
  /** Stream of the bus that each stage reads. */
  streamOf: ReadonlyMap<string, string>;
  /** How many batches lie under each subject. */
  waitingBatches(jetStream: string): Promise<ReadonlyMap<string, number>>;
  ledger: LedgerLag;
  /** The LEDGER was told as a whole. */
  isCurrent(): boolean;
  isConnected(): boolean;
}

export function createLedgerSamples(options: LedgerSamplesOptions): LedgerSamples {
  const { streamOf, ledger } = options;
  let subjects = new Map<string, readonly string[]>();
  const waiting = (stage: string) => waitingStreams(stage, subjects.get(streamOf.get(stage) ?? "") ?? []);
  const checkBroker = (): void => {
    if (!options.isConnected()) throw new CodedError("unavailable", "lag is unknown: the broker is away");
  };
  const check = (): void => {
    checkBroker();
    if (!options.isCurrent())
      throw new CodedError("unavailable", "lag is unknown: the LEDGER is not read yet");
  };
  return {
    take: async () => {
      checkBroker();
      const taken = [...new Set(streamOf.values())].map(
        async (name): Promise<[string, readonly string[]]> => {
          return [name, [...(await options.waitingBatches(name)).keys()]];
        },
      );
      subjects = new Map(await Promise.all(taken));
    },
    messages: (stage) => {
      check();
      return waiting(stage).reduce((sum, of) => sum + ledger.read(stage, of).stage, 0);
    },
    bytes: (stage, liveBytes) => {
      check();
      return waiting(stage).reduce((sum, of) => {
        const lag = ledger.read(stage, of);
        if (lag.stage === 0) return sum;
        const held = liveBytes.get(of.stream);
        if (held !== undefined) return sum + Math.ceil((held * lag.stage) / lag.live);
        throw new CodedError(
          "unavailable",
          `lag is unknown: buffer tells no live bytes of a stream that lags`,
        );
      }, 0);
    },
  };
}
