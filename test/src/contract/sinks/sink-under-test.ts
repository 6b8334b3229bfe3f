import type { OutgoingMessage, StreamOptions, StreamProcessor } from "@millrace/sdk";
import type { ContractSystem } from "../contract-system.js";
import type { BadItem, UnderTest } from "../cases.js";

/** A kind of sink, as the suite handles it. */
export interface SinkUnderTest extends UnderTest {
  /** The service that writes it. */
  readonly writer: "output" | "gateway";
  /** G2: it shows a message once, also over a kill. False: at least once. */
  readonly once: boolean;
  /** It gives up what its tries do not deliver, so it must not wait for other kinds here. */
  readonly givesUp?: true;
  /** How a certificate that nobody trusts is told; absent where there is no TLS. */
  readonly untrusted?: RegExp;
  /** Settings that are refused at once, each with its field. */
  badSettings(of: SinkToOpen): readonly (readonly [field: string, set: () => Promise<unknown>])[];
  /** Of the stream; makes what must be there before. */
  outputs(of: SinkToName): Promise<NonNullable<StreamOptions["outputs"]>>;
  open(of: SinkToOpen): Promise<OpenSink>;
}

export interface SinkToName {
  system: ContractSystem;
  name: string;
  /** Who signed the other side's certificate; absent: no TLS where it can be left out. */
  signedBy?: "authority" | "stranger";
  /** The outside takes nothing from the start; absent: it does, until `takeAway`. */
  isAway?: boolean;
}

export interface SinkToOpen extends SinkToName {
  stream: StreamProcessor;
}

/** One sink of a stream, and the outside that it fills. */
export interface OpenSink {
  /** Source ids of the messages that are there, each as often as it is shown. */
  arrived(): Promise<readonly string[]>;
  /** The outside takes nothing more, if it did; `giveBack`: it does again. */
  takeAway(): Promise<void>;
  giveBack(): Promise<void>;
  /** It is seen that what was published meanwhile waits. */
  holds(): Promise<boolean>;
  /** What is said to be wrong with it. */
  lastError(): Promise<string>;
  bad: readonly BadItem[];
  /** A limit of this kind, kept with a reason. */
  limit: { what: string; check(run: LimitRun): Promise<void> };
  close(): Promise<void>;
}

export interface LimitRun {
  /** Publishes messages that must arrive; resolves when they are durable. */
  give(count: number, bytes?: number): Promise<void>;
  untilArrived(): Promise<void>;
}

/** One that is not counted among those. */
export const publishBad =
  (stream: StreamProcessor, message: Exclude<OutgoingMessage, string>) => async (): Promise<string> =>
    stream.publish(message).then(
      () => "",
      (caught: unknown) => String(caught),
    );
