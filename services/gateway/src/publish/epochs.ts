import { CodedError } from "@millrace/errors";
import { sourceKey, type StreamName } from "@millrace/envelope";
import type { PushSource } from "./push-source.js";

/**
 * The epochs of clients that number their own messages. An epoch has one connection at a time: a later one
 * ends the one before and waits until what that left behind is settled, so that no message is on its way
 * twice.
 */
export interface Epochs {
  /** Errors: `unavailable` where what was left behind isn't settled in time. */
  open(of: StreamName, source: string, end: (reason: CodedError) => void): Promise<OpenEpoch>;
}

export interface OpenEpoch {
  source: PushSource;
  /** What was acknowledged in this epoch so far, as far as this process knows. */
  acknowledgedBelow: number;
  /** Its connection has gone; asked what is acknowledged once all that it sent is settled. */
  close(acknowledgedBelow: () => number): void;
}

export interface EpochsOptions {
  createSource(of: StreamName & { source: string }): PushSource;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** Epochs whose acknowledged numbers are remembered: 100 bytes each. */
const rememberedMax = 4_096;
const settleTimeoutMs = 10_000;

/** A source key is 32 hex digits; an epoch of that form could not be told from one in a search's `after`. */
const epochPattern = /^(?![0-9a-f]{32}$)[a-z0-9-]{16,64}$/;

export function checkEpoch(epoch: string): void {
  if (epochPattern.test(epoch)) return;
  throw new CodedError("invalid_argument", "open publish stream: that cannot be an epoch", {
    field: "open.epoch",
    remedy: "Use 16 to 64 of a-z, 0-9 and '-' that are yours alone, such as a UUID with its dashes.",
  });
}

export function epochSource(of: StreamName, createdMs: number, epoch: string): string {
  return sourceKey(of, "push", `${createdMs}/${epoch}`);
}

export function createEpochs(options: EpochsOptions): Epochs {
  const open = new Map<string, { source: PushSource; end(reason: CodedError): void }>();
  const remembered = new Map<string, number>();

  const remember = (key: string, acknowledgedBelow: number): void => {
    remembered.delete(key);
    remembered.set(key, acknowledgedBelow);
    const [oldest] = remembered.keys();
    if (remembered.size > rememberedMax && oldest !== undefined) remembered.delete(oldest);
  };

  return {
    open: async (of, key, end) => {
      for (let before = open.get(key); before !== undefined; before = open.get(key)) {
        before.end(
          new CodedError("aborted", "publish stream: the epoch was opened again by another connection"),
        );
        const waited = new AbortController();
        const isSettled = await Promise.race([
          before.source.idle().then(() => true),
          options.sleep(settleTimeoutMs, waited.signal).then(() => false),
        ]);
        waited.abort();
        if (!isSettled) {
          const problem = "open publish stream: what the epoch's last connection sent is not settled yet";
          throw new CodedError("unavailable", problem, { retryAfterMs: 1_000, remedy: "Open it again." });
        }
        if (open.get(key) === before) open.delete(key);
      }
      const entry = { source: options.createSource({ ...of, source: key }), end };
      open.set(key, entry);
      return {
        source: entry.source,
        acknowledgedBelow: remembered.get(key) ?? 0,
        close: (acknowledgedBelow) => {
          void entry.source.idle().then(() => {
            remember(key, acknowledgedBelow());
            if (open.get(key) === entry) open.delete(key);
          });
        },
      };
    },
  };
}
