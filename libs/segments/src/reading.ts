import type { Stream } from "@millrace/proto/stream";
import type { ReadingRequest, ReadingResponse } from "@millrace/proto/work";

/** How the bodies of a stream are to be read. */
export interface Reading {
  /** Through a map where that is possible; else by plain reads. */
  isMapped: boolean;
  /** Bytes of bodies in use through maps at once at most. */
  mappedBytesMax: number;
  /** Copied out of the map before anybody sees them. */
  isCopied: boolean;
}

const mappedBytesDefault = 1_000_000_000;

/** As its stream says; streams of before, and batches of a stream that is gone, as by default. */
export function readingOf(stream: Stream | undefined): Reading {
  return {
    isMapped: stream?.memoryMapping ?? true,
    mappedBytesMax: stream?.mmapBytes || mappedBytesDefault,
    isCopied: stream?.zeroCopy === false,
  };
}

/** Bytes of a stream's bodies by how they were read. */
export interface ReadBytes {
  mapped: number;
  read: number;
  inline: number;
}

interface Account extends ReadBytes {
  /** In use through maps now. */
  held: number;
}

/** Counts per stream: one entry for each stream that is known, a few numbers long. */
export interface ReadAccounts {
  of(tenant: string, stream: string): Account;
  forget(tenant: string, stream: string): void;
}

export function createReadAccounts(): ReadAccounts {
  const accounts = new Map<string, Account>();
  return {
    of: (tenant, stream) => {
      const key = `${tenant}/${stream}`;
      const known = accounts.get(key);
      if (known !== undefined) return known;
      const account = { mapped: 0, read: 0, inline: 0, held: 0 };
      accounts.set(key, account);
      return account;
    },
    forget: (tenant, stream) => void accounts.delete(`${tenant}/${stream}`),
  };
}

/** What `tellReading` asks of a reader. */
export interface ReadingTold {
  readonly unmappedReason: string | undefined;
  readBytes(tenant: string, stream: string): ReadBytes;
}

/** How a stage reads the bodies of a stream, for the stream's status. */
export const tellReading =
  (reader: ReadingTold) =>
  async ({ tenant, stream }: ReadingRequest): Promise<ReadingResponse> => {
    const { mapped, read, inline } = reader.readBytes(tenant, stream);
    return {
      unmappedReason: reader.unmappedReason ?? "",
      mappedBytes: mapped,
      readBytes: read,
      inlineBytes: inline,
    };
  };
