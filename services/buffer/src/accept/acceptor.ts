import { CodedError } from "@millrace/errors";
import {
  batchId,
  checkBatch,
  decodeBatch,
  idBytes,
  idText,
  limits,
  type OpenBatch,
  openBatch,
  rowPositions,
  u32Column,
} from "@millrace/envelope";
import {
  type Account,
  anyPartition,
  type Exemptions,
  isSureRefusal,
  type Ledger,
  orderedPartition,
  type Published,
  type StreamRegistry,
} from "@millrace/messaging";
import { Batch, type Columns, Kind, Lane } from "@millrace/proto/batch";
import type { Stream } from "@millrace/proto/stream";
import type { Component } from "@millrace/runtime";
import { type Quota, weightOf } from "../quota/quota.js";
import type { Aside } from "../quota/stream-quota.js";
import type { AcceptJournal } from "./accept-journal.js";
import type { Paths } from "./paths.js";

export interface Acceptor extends Component {
  /**
   * Resolves when the batch is durable. The same interval again is accepted once; with `again` it is
   * published again, to learn of its message. `aside`: what tells that it waits for room of its stream.
   */
  accept(batch: Batch, from: AcceptedFrom): Promise<Acceptance>;
}

export interface AcceptedFrom {
  sender: string;
  again?: boolean;
  aside?: Aside | undefined;
}

export interface Acceptance {
  id: string;
  /** Its message on the bus; undefined where an earlier answer is repeated. */
  published: Published | undefined;
}

export interface AcceptorOptions {
  registry: StreamRegistry;
  exemptions: Exemptions;
  paths: Paths;
  ledger: Ledger;
  now(): number;
  /** Of this machine: bodies that lie elsewhere can't be referred to. */
  node: string;
  /** Names our segment logs: their segments are leased to writers. */
  owner: string;
  journal: AcceptJournal;
  quota: Pick<Quota, "take" | "load" | "save" | "restore">;
  /** What the last life made durable: its positions count as accepted before anybody asks where to resume. */
  recovered: readonly { bytes: Uint8Array }[];
  /** What writers had made durable: counts toward quotas, and is accepted next. */
  left: readonly { bytes: Uint8Array }[];
  /** Resolves when what the last life made durable is on the bus. */
  untilRecovered(): Promise<void>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** 6,000 batches between rotations of the journal, each a write of the ledger that is due anyway. */
const journalBytesMax = 512 * 1024;

/** Of whoever appends, this stays well below the deadline. */
const recoveredWaitMs = 1_000;

/**
 * Frames each batch once: its id follows from its source interval, and whoever sends it again gets the first
 * answer.
 */
export function createAcceptor(options: AcceptorOptions): Acceptor {
  const { registry, exemptions, paths, ledger, journal, quota } = options;
  const accepting = new Map<string, Promise<Acceptance>>();

  /** Undefined: it goes through the filter. */
  const exemptionOf = async ({ header }: OpenBatch, batch: Batch, stream: Stream) => {
    // What was written to the raw side before its stream became exempt keeps its way.
    if (isOnSide(batch, "raw")) return undefined;
    const startedMs = options.now();
    if (await exemptions.isExempt(header.tenant, stream)) return { stream, startedMs };
    if (isOnSide(batch, "clean")) throw notExempt(stream);
    return undefined;
  };

  const publish = async ({ open, batch, stream }: Incoming): Promise<Published> => {
    const exemption = await exemptionOf(open, batch, stream);
    if (exemption === undefined) return paths.raw(open, batch.body);
    return paths.exempt(open, batch.body, exemption);
  };

  const acceptNew = async (incoming: Incoming): Promise<Acceptance> => {
    const { open, account } = incoming;
    const { again, sender, aside } = incoming;
    const held = again ? countedAlready : await quota.take(open, incoming.stream, { sender, aside });
    const published = await publish(incoming).catch((caught: unknown) => {
      // Refused, nothing is stored; after any other answer something may be, and counts until it is known.
      if (isSureRefusal(CodedError.from(caught).code)) held.giveBack();
      else held.keep();
      throw caught;
    });
    const { tenant, stream, source, positionFrom: from, positionTo: to } = open.header;
    const count = freshRows(open, account);
    const { createdMs } = incoming.stream;
    const accepted = { tenant, stream, createdMs, source, from, to, count, bytes: weightOf(open) };
    const noted = journal.append(accepted).then(
      // Not a turn later: a rotation that waited for the line flushes next.
      () => settle(open, count),
      (cause: unknown) => {
        // The message is stored: whatever the reason, the outcome must not look like a refusal.
        throw new CodedError("unavailable", "append: accepted, but not noted", { retryAfterMs: 500, cause });
      },
    );
    await noted.finally(held.keep);
    if (journal.bytes() > journalBytesMax) rotate();
    return { id: idText(open.header.id), published };
  };

  const settle = ({ header }: OpenBatch, done: number): void => {
    ledger.settle(header, { intervals: [{ from: header.positionFrom, to: header.positionTo }], done });
  };

  let isRecovered = false;
  const recovered = options.untilRecovered().then(() => {
    isRecovered = true;
  });
  /** A source's last batch may not be on the bus yet: what comes next of it must not overtake it. */
  const untilInOrder = async (): Promise<void> => {
    const waited = new AbortController();
    await Promise.race([recovered, options.sleep(recoveredWaitMs, waited.signal)]);
    waited.abort();
    if (!isRecovered) throw notRecovered();
  };

  /** What the journal may forget then. */
  const save = async (): Promise<void> => {
    await ledger.flush();
    await quota.save();
  };

  let rotating: Promise<void> | undefined;
  const rotate = (): void => {
    // A ledger that can't be written, or a full disk, keeps the journal growing; the next batch tries again.
    rotating ??= journal
      .rotate(save)
      .catch(() => undefined)
      .finally(() => {
        rotating = undefined;
      });
  };

  /** What the last life answered and had not written to the ledger yet. */
  const replay = async (): Promise<void> => {
    await quota.load();
    for (const { createdMs, from, to, count, bytes, ...key } of journal.replayed) {
      const stream = await registry.find(key.tenant, key.stream);
      // Another one of that name: a file of its own may be the same file, and was never read for it.
      if (stream?.createdMs !== createdMs) continue;
      const { settled } = await ledger.account(key);
      if (settled.missing({ from, to }).length > 0)
        ledger.settle(key, { intervals: [{ from, to }], done: count });
      // Settling is done when the account is asked again: an interval may be in the journal twice.
      await ledger.account(key);
      await quota.restore({ ...key, from, to, bytes });
    }
    // A full disk must not keep buffer from starting: it is what frees the segments on it.
    rotate();
    await rotating;
  };

  const restore = async (bytes: Uint8Array): Promise<OpenBatch> => {
    const open = openBatch(decodeBatch(bytes), new Uint8Array());
    const { tenant, stream, source, positionFrom: from, positionTo: to } = open.header;
    await quota.restore({ tenant, stream, source, from, to, bytes: weightOf(open) });
    return open;
  };

  return {
    name: "acceptor",
    start: async () => {
      await replay();
      for (const { bytes } of options.recovered) {
        const open = await restore(bytes);
        if ((await registry.findFor(open.header)) === undefined) continue;
        settle(open, freshRows(open, await ledger.account(open.header)));
      }
      for (const { bytes } of options.left) await restore(bytes);
    },
    stop: async () => {
      await rotating;
      await journal.close();
    },
    accept: async (batch, { sender, again = false, aside }) => {
      checkIncoming(batch, options);
      const open = openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
      const { header } = open;
      const stream = await registry.findFor(header);
      if (stream === undefined) {
        throw new CodedError("not_found", `append: no stream ${header.stream}`, {
          field: "stream",
          remedy: "Create it with CreateStream.",
        });
      }
      const id = batchId(header, header.positionFrom, header.positionTo);
      const running = accepting.get(id);
      if (running !== undefined) return running;
      const account = await ledger.account(header);
      const asked = { from: header.positionFrom, to: header.positionTo };
      if (!again && account.settled.missing(asked).length === 0) {
        await paths.discard(id, batch.body);
        return { id, published: undefined };
      }
      if (stream.ordered && !again && !isRecovered) await untilInOrder();
      header.id = idBytes(id);
      header.partition = stream.ordered ? orderedPartition(header.source) : anyPartition;
      header.schemaVersion = 1;
      header.streamCreatedMs = stream.createdMs;
      header.acceptedUs = Math.round(options.now() * 1000);
      const of = { open, batch, stream, account, again, sender, aside };
      const accepted = accepting.get(id) ?? acceptNew(of).finally(() => accepting.delete(id));
      accepting.set(id, accepted);
      return accepted;
    },
  };
}

function notRecovered(): CodedError {
  return new CodedError("resource_exhausted", "append: earlier batches of ordered streams are not out yet", {
    subject: "bus:recovered",
    remedy: "Wait until consumers catch up.",
    retryAfterMs: 1_000,
  });
}

interface Incoming {
  open: OpenBatch;
  batch: Batch;
  stream: Stream;
  account: Account;
  again: boolean;
  /** Who waits where its stream is full. */
  sender: string;
  aside: Aside | undefined;
}

/** What is accepted again was counted when the earlier life was read back. */
const countedAlready = { giveBack: () => undefined, keep: () => undefined };

function freshRows(open: OpenBatch, account: Account): number {
  const { header } = open;
  const missing = account.settled.missing({ from: header.positionFrom, to: header.positionTo });
  const [first] = missing;
  if (missing.length === 1 && first?.from === header.positionFrom && first.to === header.positionTo)
    return header.count;
  const positions = rowPositions(header, open.columns);
  let fresh = 0;
  for (let row = 0; row < header.count; row++) if (!account.settled.has(positions[row] as number)) fresh++;
  return fresh;
}

const isOurs = (log: string, owner: string): boolean => log === `raw/${owner}` || log === `clean/${owner}`;

function isOnSide({ body }: Batch, side: "raw" | "clean"): boolean {
  return body?.$case === "range" && body.value.log.startsWith(`${side}/`);
}

function notExempt({ name }: Stream): CodedError {
  return new CodedError("failed_precondition", `append: stream ${name} is not exempt from the filter`, {
    field: "batch.body",
    remedy: "Write the body to the raw side and send the batch again.",
  });
}

/** What gateway and ingestion send is checked like anything from outside. */
function checkIncoming(batch: Batch, { node, owner }: { node: string; owner: string }): void {
  try {
    checkBatch(batch);
  } catch (cause) {
    const error = CodedError.from(cause);
    throw new CodedError("invalid_argument", `append: ${error.message}`, {
      field: error.field ?? "batch",
      cause,
    });
  }
  const { body } = batch;
  const isHere = body?.$case === "range" && body.value.node === node && isOurs(body.value.log, owner);
  if (body?.$case !== "inline" && !isHere) {
    throw new CodedError(
      "invalid_argument",
      "append: the body is neither inline nor in a segment of this node",
      {
        field: "batch.body",
        remedy: "Send the body inline.",
      },
    );
  }
  const { header, columns } = batch;
  if (header === undefined || columns === undefined) return;
  if (header.lane !== Lane.LANE_HIGH && header.lane !== Lane.LANE_BATCH) {
    throw new CodedError("invalid_argument", "append: no lane", {
      field: "batch.header.lane",
      remedy: "Set LANE_HIGH or LANE_BATCH.",
    });
  }
  if (!/^[0-9a-f]{32}$/.test(header.source)) {
    throw new CodedError("invalid_argument", "append: the source is not a key of 32 hex digits", {
      field: "batch.header.source",
    });
  }
  checkLengths(u32Column(columns.lengths), columns);
  // Numbers of 8,192 messages stay far below the limit; names and attributes are what can be large.
  const hasNames = columns.attributes.length > 0 || columns.sourceIds.length > 1;
  if (hasNames && Batch.encode({ ...batch, body: undefined }).finish().length > limits.columnsBytesMax) {
    throw new CodedError("invalid_argument", "append: columns above the size limit", {
      field: "batch.columns",
      remedy: "Send fewer messages or attributes in one batch.",
    });
  }
}

function checkLengths(lengths: Uint32Array, { kind, kinds }: Pick<Columns, "kind" | "kinds">): void {
  for (const [row, length] of lengths.entries()) {
    if (length <= limits.messageBytesMax) continue;
    const bytesMax = bytesMaxOf(kinds[row] ?? kind);
    if (length <= bytesMax) continue;
    throw new CodedError("invalid_argument", "append: message above the size limit", {
      field: "batch.columns.lengths",
      remedy: `Keep each message of its kind within ${bytesMax} bytes.`,
    });
  }
}

function bytesMaxOf(kind: Kind): number {
  if (kind === Kind.KIND_IMAGE) return limits.cleanImageBytesMax;
  return kind === Kind.KIND_DATA ? limits.dataBytesMax : limits.messageBytesMax;
}
