import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { encodeBatch, idText, type OpenBatch } from "@millrace/envelope";
import { inlineBatch, type PlacedBatch, travelsInline, withRange } from "../placed-batch.js";
import { type Disk, type DiskFile, nodeDisk } from "../disk/disk.js";
import { decodeSegmentHead, segmentHeadBytes } from "../log/frame.js";
import { createFrameWriter, type FramePlace, layOut } from "../log/frame-writer.js";
import { createReserve } from "../log/reserve.js";
import type { LeaseKey } from "./segment-leases.js";

/*
 * The other end of a lease: writes frames into segments that belong to buffer.
 *
 *     lease ──► place, place, … ──full or idle──► sealed ──all of it answered──► ended
 *                     │
 *                     └──renewed too late, or buffer says that it has ended──► lost: written again elsewhere
 */
export interface GrantedLease extends LeaseKey {
  /** As in a SegmentRange. */
  log: string;
  segmentBytes: number;
  leaseMs: number;
}

/** How the owner of the segments is reached. */
export interface LeaseClient {
  grant(): Promise<GrantedLease>;
  renew(key: LeaseKey): Promise<void>;
  end(key: LeaseKey, writtenTo: number): Promise<void>;
}

export interface LeasedWriterOptions {
  client: LeaseClient;
  /** Directory of the side, as this process sees it. */
  sideDir: string;
  node: string;
  monotonic(): number;
  onBroken?: (error: CodedError) => void;
  disk?: Disk;
}

/** Places bodies of a service whose segments another one owns. */
export interface LeasedWriter {
  /** The same batch again is not written again, as long as its lease is held. */
  place(open: OpenBatch): Promise<PlacedBatch>;
  /** The owner has taken the batch, or nobody will offer it to him again. */
  settled(id: string): void;
  /** The owner says that the lease has ended under which the batch was written. */
  leaseEnded(id: string): void;
  /** Renews and ends leases; to be called every second. */
  beat(): Promise<void>;
  close(): Promise<void>;
}

interface Lease extends GrantedLease {
  file: DiskFile;
  salt: bigint;
  end: number;
  /** Frames that are being written. */
  writing: number;
  /** Frames that the owner has not answered yet, with those that are being written. */
  pending: number;
  renewedAt: number;
  usedAt: number;
  sealedAt: number | undefined;
  lost: boolean;
}

/** A segment that nobody writes to is given back, with what is left of it. */
const idleMs = 30_000;
/** Frames that nobody offers any more are left for the owner to find. */
const unansweredMs = 60_000;

export function createLeasedWriter(options: LeasedWriterOptions): LeasedWriter {
  const { client, monotonic, sideDir, node } = options;
  const disk = options.disk ?? nodeDisk;
  const writer = createFrameWriter(options.onBroken);
  const leases = new Set<Lease>();
  const written = new Map<string, { lease: Lease; place: FramePlace }>();

  const isLost = (lease: Lease): boolean => {
    if (monotonic() - lease.renewedAt >= lease.leaseMs) lease.lost = true;
    return lease.lost;
  };
  const open = async (): Promise<Lease> => {
    const askedAt = monotonic();
    const granted = await client.grant();
    const owner = granted.log.split("/")[1] ?? "";
    const path = join(sideDir, owner, `${String(granted.segment).padStart(8, "0")}.seg`);
    const file = await disk.open(path, "existing");
    const salt = await readSalt(file, granted.segment);
    const at = { renewedAt: askedAt, usedAt: askedAt, sealedAt: undefined };
    const none = { end: segmentHeadBytes, writing: 0, pending: 0, lost: false };
    const lease = { ...granted, file, salt, ...none, ...at };
    leases.add(lease);
    return lease;
  };
  const seal = async (lease: Lease): Promise<void> => {
    lease.sealedAt ??= monotonic();
    await endIfDone(lease);
  };
  const reserve = createReserve<Lease>({
    open,
    seal,
    bytesOf: ({ segmentBytes }) => segmentBytes,
    // The owner waits for room before it answers.
    roomWaitMs: 0,
    taken: (lease) => {
      lease.writing++;
      lease.pending++;
      lease.usedAt = monotonic();
    },
  });
  const forget = async (lease: Lease): Promise<void> => {
    if (!leases.delete(lease)) return;
    for (const [id, entry] of written) if (entry.lease === lease) written.delete(id);
    await lease.file.close();
  };
  const end = async (lease: Lease): Promise<void> => {
    await forget(lease);
    // Where it is not heard, the lease ends by time.
    await client.end(lease, lease.end).catch(() => undefined);
  };
  const endIfDone = async (lease: Lease): Promise<void> => {
    if (lease.sealedAt === undefined || !leases.has(lease)) return;
    const isOver = lease.pending === 0 || monotonic() - lease.sealedAt > unansweredMs;
    if (isOver) await end(lease);
  };
  const dropLost = async (): Promise<void> => {
    reserve.drop(isLost);
    for (const lease of leases) if (isLost(lease) && lease.writing === 0) await forget(lease);
  };
  const giveBackIdle = async (): Promise<void> => {
    const isIdle = ({ pending, sealedAt, usedAt }: Lease): boolean =>
      pending === 0 && sealedAt === undefined && monotonic() - usedAt > idleMs;
    const idle = [...leases].filter(isIdle);
    reserve.drop((lease) => idle.includes(lease));
    for (const lease of idle) await seal(lease);
  };

  const write = async (open: OpenBatch, id: string, batch: Uint8Array) => {
    const broken = writer.broken();
    if (broken !== undefined) throw broken;
    const laidOut = await layOut({ id, subject: "", batch, body: open.body });
    reserve.drop(isLost);
    const { segment: lease, offset } = await reserve.take(laidOut.bytes);
    try {
      const place = await writer.write(laidOut, { ...lease, offset });
      return { lease, place };
    } catch (cause) {
      lease.pending--;
      throw cause;
    } finally {
      lease.writing--;
    }
  };
  const answered = (id: string): Lease | undefined => {
    const entry = written.get(id);
    if (entry === undefined) return undefined;
    written.delete(id);
    entry.lease.pending--;
    return entry.lease;
  };
  return {
    place: async (batch) => {
      if (travelsInline(batch.header.bodyBytes)) return inlineBatch(batch, "");
      const id = idText(batch.header.id);
      const encoded = encodeBatch(batch, undefined);
      const known = written.get(id);
      if (known !== undefined && isLost(known.lease)) answered(id);
      const entry = written.get(id) ?? (await write(batch, id, encoded));
      written.set(id, entry);
      const { segment, frameOffset, offset, length, crc32 } = entry.place;
      const range = { node, log: entry.lease.log, leaseEpoch: entry.lease.epoch };
      const bytes = withRange(encoded, { ...range, segment, frameOffset, offset, length, crc32 });
      return { id, subject: "", bytes, messageCount: batch.header.count, inSegment: true };
    },
    settled: (id) => {
      const lease = answered(id);
      if (lease !== undefined) void endIfDone(lease);
    },
    leaseEnded: (id) => {
      const lease = answered(id);
      if (lease !== undefined) lease.lost = true;
    },
    beat: async () => {
      await dropLost();
      for (const lease of leases) {
        const now = monotonic();
        if (now - lease.renewedAt > lease.leaseMs / 3) await renew(client, lease, now);
        await endIfDone(lease);
      }
      await giveBackIdle();
    },
    close: async () => {
      for (const lease of await reserve.close()) await seal(lease);
      for (const lease of leases) await end(lease);
    },
  };
}

/** Frames bear it. Only who has the files can know it, so it is in no message. */
async function readSalt(file: DiskFile, segment: number): Promise<bigint> {
  const bytes = Buffer.alloc(segmentHeadBytes);
  try {
    await file.read(bytes, 0);
    const head = decodeSegmentHead(bytes);
    if (head?.segment === segment) return head.salt;
    throw new CodedError("unavailable", `write to segment ${segment}: its head is not that of the lease`);
  } catch (caught) {
    await file.close();
    throw caught;
  }
}

async function renew(client: LeaseClient, lease: Lease, now: number): Promise<void> {
  try {
    await client.renew(lease);
    lease.renewedAt = now;
  } catch (caught) {
    if (CodedError.from(caught).code === "failed_precondition") lease.lost = true;
  }
}

/** For a service that shares no disk with its readers: every body travels in its batch. */
export function inlineWriter(): LeasedWriter {
  return {
    place: async (batch) => inlineBatch(batch, ""),
    settled: () => undefined,
    leaseEnded: () => undefined,
    beat: async () => undefined,
    close: async () => undefined,
  };
}
