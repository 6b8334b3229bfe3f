import { assert, CodedError } from "@millrace/errors";
import { isSystemError } from "@millrace/files";
import { diskFull } from "./disk.js";
import type { Seal } from "./journal.js";
import { dayOf } from "./layout.js";
import {
  compactSpool,
  hashFile,
  isSeamless,
  liveEntries,
  type Manifest,
  type Part,
  publishPart,
  type StoredEntry,
  writeManifest,
} from "./part.js";
import { writeParquetPart } from "../parquet/parquet-part.js";
import { note, type OpenSpool } from "./spool-write.js";

/**
 * Says in the journal what the part holds, and closes the files; undefined where no row was left, which ends
 * the spool. Called again after a full disk.
 */
export async function seal(spool: OpenSpool): Promise<Part | undefined> {
  const { data, journal, header, discarded } = spool;
  assert(spool.pending.length === 0, "a spool is sealed with nothing pending");
  const live = liveEntries(spool.entries, discarded);
  if (live.length === 0) {
    await abandon(spool);
    return undefined;
  }
  const sealed = await writeSeal(spool, live);
  await data.close();
  await journal.close();
  spool.sealed = { number: header.number, hasKeys: spool.hasKeys, ...sealed };
  return spool.sealed;
}

/** Makes a sealed spool visible, and ends it. */
export async function publish(spool: OpenSpool): Promise<Part> {
  const { sealed, context, guard } = spool;
  assert(sealed !== undefined, "a spool is sealed before it is published");
  await publishPart(context, sealed.number, sealed.seal);
  guard.end();
  return sealed;
}

async function writeSeal(
  spool: OpenSpool,
  live: readonly StoredEntry[],
): Promise<{ seal: Seal; manifest: Manifest }> {
  const { data, header, discarded } = spool;
  const { disk, layout, now } = spool.context;
  const { number } = header;
  // What the part was begun at is in its journal, so each try to finish it says the same.
  const day = header.format === "parquet" ? dayOf(header.openedMs) : undefined;
  const isWhole = day === undefined && isSeamless(spool.entries, spool.committedEnd, discarded);
  // A recycled file may be longer than what it holds now.
  if (isWhole && (await data.size()) > spool.committedEnd) {
    await data.truncate(spool.committedEnd);
    await data.fdatasync();
  }
  try {
    if (day !== undefined) await disk.makeDirectory(layout.partDir(day));
    const write = day === undefined ? compactSpool : writeParquetPart;
    const { bytes, blake3 } = isWhole
      ? { bytes: spool.committedEnd, blake3: spool.hash?.hex() ?? (await hashFile(data, spool.committedEnd)) }
      : await write(disk, { from: data, to: layout.compact(number), entries: spool.entries, discarded });
    const made: Seal = {
      bytes,
      blake3,
      closedMs: now(),
      compacted: !isWhole,
      ...(day !== undefined && { day }),
    };
    const manifest = await writeManifest(disk, layout, { header, entries: live, seal: made });
    await disk.fsyncDir(layout.spoolDir);
    await note(spool, [{ seal: made }], "seal");
    return { seal: made, manifest };
  } catch (error) {
    const isFull = error instanceof CodedError && error.code === "resource_exhausted";
    if (!isFull && !isSystemError(error, "ENOSPC")) throw error;
    await disk.unlink(layout.compact(number));
    await disk.unlink(layout.manifestTemp(number));
    throw isFull ? error : diskFull("seal", error);
  }
}

/**
 * Ends a spool of which no row is left. The data goes first: without rows, a journal alone asks for nothing.
 */
async function abandon(spool: OpenSpool): Promise<void> {
  const { data, journal, header, guard } = spool;
  const { disk, layout } = spool.context;
  await data.close();
  await journal.close();
  await disk.unlink(layout.data(header.number));
  await disk.fsyncDir(layout.spoolDir);
  await disk.unlink(layout.journal(header.number));
  await disk.fsyncDir(layout.spoolDir);
  guard.end();
}
