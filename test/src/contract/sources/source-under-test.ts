import type { StreamProcessor } from "@millrace/sdk";
import type { ContractSystem } from "../contract-system.js";
import type { BadItem, UnderTest } from "../cases.js";

/** A kind of source, as the suite handles it. */
export interface SourceUnderTest extends UnderTest {
  /** The service that reads it. */
  readonly reader: "ingestion" | "gateway";
  /** False: what comes while its reader is away is lost, and told as a gap. */
  readonly replays: boolean;
  /** How a certificate that nobody trusts is told; absent where there is no TLS. */
  readonly untrusted?: RegExp;
  /** Settings that are refused at once, each with its field. */
  badSettings(of: SourceToOpen): readonly (readonly [field: string, add: () => Promise<unknown>])[];
  open(of: SourceToOpen): Promise<OpenSource>;
}

export interface SourceToOpen {
  system: ContractSystem;
  stream: StreamProcessor;
  /** Who signed the other side's certificate; absent: no TLS where it can be left out. */
  signedBy?: "authority" | "stranger";
}

/** One source of a stream, and the outside that it reads. */
export interface OpenSource {
  /** Resolves when the outside has taken all: they are appended, sent, or durable. */
  feed(texts: readonly string[]): Promise<void>;
  /** It says that it waits for the full stream. */
  waits(): Promise<boolean>;
  /** What it says is wrong with it. */
  lastError(): Promise<string>;
  /** Ends the connection that it reads from; absent where there is none. */
  cut?(): Promise<void>;
  /** A message one byte above the limit. */
  tooLarge: BadItem;
  bad: readonly BadItem[];
  close(): Promise<void>;
}

/** Settles without a word where it was refused: for what is judged by what arrives. */
export const refusalOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "",
    (caught: unknown) => String(caught),
  );
