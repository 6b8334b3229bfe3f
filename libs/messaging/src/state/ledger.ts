import { CodedError } from "@millrace/errors";
import {
  createIntervalSet,
  type Interval,
  type IntervalSet,
  type OpenBatch,
  rowPositions,
} from "@millrace/envelope";
import { Entry } from "@millrace/proto/ledger";
import type { Component, Runtime } from "@millrace/runtime";
import type { KV } from "@nats-io/kv";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";

/*
 * LEDGER: what each stage or sink has settled, per source. KV key <stage>.<tenant>.<stream>.<source>, written
 * by the stage after its commit, at most every 100 ms. Source commits, freshness, conservation and sink
 * de-duplication read it; nothing else counts.
 */
export interface LedgerKey {
  tenant: string;
  stream: string;
  source: string;
}

/** What one commit adds: positions that are settled, and messages by what became of them. */
export interface Settlement {
  intervals: readonly Interval[];
  done?: number;
  dead?: number;
  dropped?: Readonly<Record<string, number>>;
  /**
   * Told, before the write that covers it is done, which of its positions another replica had settled first:
   * what was made of them counts for nothing.
   */
  onElsewhere?(intervals: readonly Interval[]): void;
}

export interface Account {
  readonly settled: IntervalSet;
  readonly done: number;
}

export interface Ledger extends Component {
  /** The account of a source, read from the bucket the first time. */
  account(key: LedgerKey): Promise<Account>;
  /**
   * Takes back that a message died, so that its stage may handle it again; stored when it resolves. `again`:
   * it is open. `settled`: it was taken back before, and has come through since. Errors: `unavailable`.
   */
  reopen(key: LedgerKey, interval: Interval): Promise<"again" | "settled">;
  /** Adds to an account; written within 100 ms. */
  settle(key: LedgerKey, settlement: Settlement): void;
  /**
   * Resolves when all that is settled by now is stored; calls within 20 ms share a write. A delivery that is
   * acknowledged earlier and lost its entry in a crash never comes again, so it would be in flight for ever.
   */
  stored(): Promise<void>;
  /** Writes all that is pending. Resolves when stored. */
  flush(): Promise<void>;
  /** Forgets what is held of a deleted stream, without writing it. */
  forget(tenant: string, stream: string): void;
}

const flushIntervalMs = 100;
/** Longer, deliveries that wait for their ack would fill their bound; shorter, writes would be many. */
const gatherMs = 20;
const writesInFlightMax = 16;
/** Rounds of a flush; what is still dirty then waits for the next one, 100 ms later. */
const mergesMax = 8;
/** Deaths taken back that an entry lists, the lowest positions forgotten first: it must fit one message. */
const reopenedMax = 10_000;

interface Book {
  key: string;
  revision: number;
  settled: IntervalSet;
  /** Whose death was taken back, and who did not die again. */
  reopened: IntervalSet;
  counts: Counts;
  /** What this process added since it last wrote, to add it to what another wrote in between. */
  pending: Pending[];
  dirty: boolean;
  /**
   * What writes held that were never answered: found in the bucket, one was ours and must not be added again.
   */
  unanswered: { bytes: Uint8Array; sent: number }[];
}

interface Pending {
  /** Its positions that nobody had settled, as far as this process knew. */
  fresh: Interval[];
  /** Its messages died: a death that was taken back stands again. */
  died?: readonly Interval[];
  /** Deaths that it takes back. */
  reopened?: readonly Interval[];
  counts: Counts;
  onElsewhere: Settlement["onElsewhere"];
}

interface Counts {
  done: number;
  dead: number;
  dropped: Map<string, number>;
}

export async function createLedger(broker: Broker, stage: string, runtime: Runtime): Promise<Ledger> {
  const bucket = await broker.kv.open(buckets.ledger, { allow_direct: true });
  const books = new Map<string, Promise<Book>>();
  let closed = false;

  const open = (key: LedgerKey): Promise<Book> => {
    const name = `${stage}.${key.tenant}.${key.stream}.${key.source}`;
    let book = books.get(name);
    if (book === undefined) {
      book = readBook(bucket, name);
      // A failed read is tried again by the next caller instead of being remembered.
      book.catch(() => books.delete(name));
      books.set(name, book);
    }
    return book;
  };

  const write = async (book: Book): Promise<void> => {
    if (!book.dirty) return;
    // Asked first: a broker that does not answer would be sent one write after the other, and store any.
    if (book.unanswered.length > 0) await merge(bucket, book);
    book.dirty = false;
    const sent = book.pending.length;
    const bytes = encodeBook(book, runtime.clock.now());
    try {
      book.revision = await bucket.put(book.key, bytes, { previousSeq: book.revision });
      book.pending.splice(0, sent);
      book.unanswered = [];
    } catch (caught) {
      book.dirty = true;
      if (/wrong last/i.test(String(caught))) return await merge(bucket, book);
      book.unanswered.push({ bytes, sent });
      throw new CodedError("unavailable", "write ledger: no answer from the broker", { cause: caught });
    }
  };

  let flushing: Promise<void> = Promise.resolve();
  const flushOnce = async (): Promise<void> => {
    const open = await Promise.all([...books.values()].map((book) => book.catch(() => undefined)));
    let dirty = open.filter((book): book is Book => book?.dirty === true);
    // A book that another replica wrote meanwhile is merged, and then written in the next round.
    for (let round = 0; dirty.length > 0 && round < mergesMax; round++) {
      for (let at = 0; at < dirty.length; at += writesInFlightMax) {
        await Promise.all(dirty.slice(at, at + writesInFlightMax).map(write));
      }
      dirty = dirty.filter((book) => book.dirty);
    }
  };
  /**
   * One at a time: whoever asks while a flush runs gets the next one, which covers all that was settled
   * before.
   */
  const flush = (): Promise<void> => {
    flushing = flushing.catch(() => undefined).then(flushOnce);
    return flushing;
  };

  const reopen = async (key: LedgerKey, interval: Interval): Promise<"again" | "settled"> => {
    const book = await open(key);
    // First what other replicas wrote; in turn, since a write under way would pass for one of theirs.
    const current = flushing.catch(() => undefined).then(() => merge(bucket, book));
    flushing = current;
    await current;
    if (book.reopened.has(interval.from)) return book.settled.has(interval.from) ? "settled" : "again";
    const isDead = book.settled.has(interval.from);
    // Nobody died of it: it was through when its delivery came again, whose letter this is.
    if (isDead && book.counts.dead === 0) return "settled";
    const dead = isDead ? -1 : 0;
    const counts = { done: 0, dead, dropped: new Map<string, number>() };
    const pending = { fresh: [], reopened: [interval], counts, onElsewhere: undefined };
    book.pending.push(pending);
    replay(book, pending);
    addCounts(book.counts, counts);
    book.dirty = true;
    await flush();
    return "again";
  };

  let gathering: Promise<void> | undefined;
  const stored = (): Promise<void> => {
    gathering ??= runtime.clock.sleep(gatherMs).then(() => {
      gathering = undefined;
      return flush();
    });
    return gathering;
  };

  let ticking: Promise<void> | undefined;
  const tick = async (): Promise<void> => {
    while (!closed) {
      await runtime.clock.sleep(flushIntervalMs);
      await flush().catch((caught: unknown) =>
        runtime.log.warn("ledger not written, trying again", { error: String(caught) }),
      );
    }
  };

  return {
    name: "ledger",
    start: async () => {
      ticking = tick();
    },
    stop: async () => {
      closed = true;
      await ticking;
      await flush();
    },
    account: async (key) => {
      const book = await open(key);
      return {
        settled: book.settled,
        get done() {
          return book.counts.done;
        },
      };
    },
    reopen,
    settle: (key, settlement) => {
      void open(key).then(
        (book) => apply(book, settlement),
        (caught: unknown) => runtime.fail(CodedError.from(caught, "read ledger")),
      );
    },
    stored,
    flush,
    forget: (tenant, stream) => {
      const prefix = `${stage}.${tenant}.${stream}.`;
      for (const name of books.keys()) if (name.startsWith(prefix)) books.delete(name);
    },
  };
}

/**
 * For consumers: counts the rows that they dead-letter. A row that an earlier delivery settled, whose
 * acknowledgement was lost, is not counted again.
 */
export const countDead =
  (ledger: Ledger) =>
  async (open: OpenBatch, rows: readonly number[]): Promise<void> => {
    const { settled } = await ledger.account(open.header);
    const positions = rowPositions(open.header, open.columns);
    const intervals = rows
      .map((row) => ({ from: positions[row] as number, to: positions[row + 1] as number }))
      .filter(({ from }) => !settled.has(from));
    ledger.settle(open.header, { intervals, dead: intervals.length });
    await ledger.stored();
  };

function apply(book: Book, settlement: Settlement): void {
  const { intervals, done = 0, dead = 0, dropped = {}, onElsewhere } = settlement;
  const counts = { done, dead, dropped: new Map(Object.entries(dropped)) };
  const fresh = intervals.flatMap((interval) => book.settled.missing(interval));
  const pending = { fresh, ...(dead > 0 && { died: intervals }), counts, onElsewhere };
  book.pending.push(pending);
  replay(book, pending);
  addCounts(book.counts, counts);
  book.dirty = true;
}

function replay(book: Book, { fresh, died = [], reopened = [] }: Pending): void {
  for (const interval of reopened) {
    book.settled.remove(interval);
    book.reopened.add(interval);
  }
  for (const interval of died) book.reopened.remove(interval);
  book.settled.addAll(fresh);
}

function addCounts(to: Counts, more: Counts): void {
  to.done += more.done;
  to.dead += more.dead;
  for (const [reason, count] of more.dropped) to.dropped.set(reason, (to.dropped.get(reason) ?? 0) + count);
}

async function readBook(bucket: KV, key: string): Promise<Book> {
  const found = await bucket.get(key).catch((cause: unknown) => {
    throw new CodedError("unavailable", "read ledger: no answer from the broker", { cause });
  });
  const live = found !== null && found.operation === "PUT";
  const entry = live ? Entry.decode(found.value) : Entry.create();
  return {
    key,
    // A deleted key still has a revision, which the next write must name.
    revision: found?.revision ?? 0,
    settled: createIntervalSet(entry.settled),
    reopened: createIntervalSet(entry.reopened),
    counts: countsOf(entry),
    pending: [],
    dirty: false,
    unanswered: [],
  };
}

/**
 * Finds out who wrote since: nobody, this process without an answer, or another replica. Then it is what that
 * one stored plus what this process added since its last write.
 */
async function merge(bucket: KV, book: Book): Promise<void> {
  const found = await bucket.get(book.key).catch((cause: unknown) => {
    throw new CodedError("unavailable", "read ledger: no answer from the broker", { cause });
  });
  if ((found?.revision ?? 0) === book.revision) return;
  const ours = book.unanswered.find(
    ({ bytes }) => found !== null && Buffer.compare(found.value, bytes) === 0,
  );
  if (found !== null && ours !== undefined) {
    book.revision = found.revision;
    book.pending.splice(0, ours.sent);
    book.unanswered = [];
    return;
  }
  const other = await readBook(bucket, book.key);
  // One of ours may be in what the other wrote on top of it: that is no reason to throw anything away.
  const doubtful = Math.max(0, ...book.unanswered.map(({ sent }) => sent));
  for (const [at, pending] of book.pending.entries()) {
    withoutReopened(pending, other.reopened);
    const elsewhere = withoutElsewhere(pending, other.settled);
    if (elsewhere.length > 0 && at >= doubtful) pending.onElsewhere?.(elsewhere);
    addCounts(other.counts, pending.counts);
    replay(other, pending);
  }
  for (const interval of other.reopened.intervals()) {
    for (const open of other.settled.missing(interval)) book.settled.remove(open);
  }
  book.revision = other.revision;
  book.counts = other.counts;
  book.reopened = other.reopened;
  book.unanswered = [];
  book.settled.addAll(other.settled.intervals());
}

/** A death that another replica took back first counts once. */
function withoutReopened(pending: Pending, reopened: IntervalSet): void {
  if (pending.reopened?.every(({ from }) => reopened.has(from)) !== true) return;
  pending.reopened = [];
  pending.counts = { ...pending.counts, dead: 0 };
}

/** Takes out of it what another settled first, and its share of the counts; answers what that was. */
function withoutElsewhere(pending: Pending, settled: IntervalSet): Interval[] {
  const elsewhere = pending.fresh.flatMap((interval) => settled.overlap(interval));
  const before = sizeOf(pending.fresh);
  if (elsewhere.length === 0 || before === 0) return [];
  const share = 1 - sizeOf(elsewhere) / before;
  const { done, dead, dropped } = pending.counts;
  pending.counts = {
    done: Math.round(done * share),
    dead: Math.round(dead * share),
    dropped: new Map([...dropped].map(([reason, count]) => [reason, Math.round(count * share)])),
  };
  pending.fresh = pending.fresh.flatMap((interval) => settled.missing(interval));
  return elsewhere;
}

const sizeOf = (intervals: readonly Interval[]): number =>
  intervals.reduce((sum, { from, to }) => sum + to - from, 0);

function countsOf(entry: Entry): Counts {
  return { done: entry.done, dead: entry.dead, dropped: new Map(Object.entries(entry.dropped)) };
}

function encodeBook(book: Book, now: number): Uint8Array {
  return Entry.encode({
    settled: [...book.settled.intervals()],
    reopened: [...book.reopened.intervals()].slice(-reopenedMax),
    done: book.counts.done,
    dead: book.counts.dead,
    dropped: Object.fromEntries(book.counts.dropped),
    updatedMs: Math.round(now),
  }).finish();
}

/** Whether a stage has settled a position, as the bucket says now: another replica may have been the one. */
export async function isSettled(
  broker: Broker,
  stage: string,
  { tenant, stream, source, position }: LedgerKey & { position: number },
): Promise<boolean> {
  const bucket = await broker.kv.open(buckets.ledger, { allow_direct: true });
  const { settled } = await readBook(bucket, `${stage}.${tenant}.${stream}.${source}`);
  return settled.has(position);
}
