import { CodedError } from "@millrace/errors";
import { segmentHeadBytes } from "./frame.js";

/** A segment that one writer fills. */
export interface Fillable {
  /** Where the next frame goes. */
  end: number;
}

export interface ReserveOptions<S extends Fillable> {
  /** Waits for room at most that long. */
  open(waitMs: number): Promise<S>;
  /** Nothing more is written to it. */
  seal(full: S): Promise<void>;
  /** Bytes of the segment. */
  bytesOf(segment: S): number;
  roomWaitMs: number;
  /** Told of a frame's room before anybody else can act: a segment is not sealed under it. */
  taken(segment: S): void;
}

export interface Reserve<S extends Fillable> {
  take(bytes: number): Promise<{ segment: S; offset: number }>;
  /** The segments that were opened and are not sealed. */
  close(): Promise<S[]>;
  /** The segment must not be written to any more; it is not sealed. */
  drop(lost: (segment: S) => boolean): void;
}

/** From this part of a segment on the next one is made ready: opening takes two syncs of a directory. */
const readyFrom = 0.75;

/** Gives out room in the active segment or the next one. Callers queue while a segment is being opened. */
export function createReserve<S extends Fillable>(options: ReserveOptions<S>): Reserve<S> {
  let active: S | undefined;
  let opening: Promise<void> | undefined;
  let spare: Promise<S | undefined> | undefined;
  const dropped = new WeakSet<S>();

  const takeSpare = async (): Promise<S | undefined> => {
    const ready = await spare;
    spare = undefined;
    return ready !== undefined && dropped.has(ready) ? undefined : ready;
  };
  const turn = async (): Promise<void> => {
    const full = active;
    active = undefined;
    // Sealed first: it may be the one whose room is waited for.
    if (full !== undefined) await options.seal(full);
    active = (await takeSpare()) ?? (await options.open(options.roomWaitMs));
  };
  const makeReady = (segment: S): void => {
    if (spare !== undefined || segment.end < readyFrom * options.bytesOf(segment)) return;
    // Where it fails, whoever needs the segment tries again and learns why.
    spare = options.open(0).catch(() => undefined);
  };
  return {
    take: async (bytes) => {
      for (;;) {
        if (opening !== undefined) await opening;
        else if (active !== undefined && segmentHeadBytes + bytes > options.bytesOf(active)) {
          // The setting is at fault and not the batch, which waits for another one.
          throw new CodedError("unavailable", "append to segments: frame larger than a segment", {
            field: "segments.segmentBytes",
            remedy: `Set ${segmentHeadBytes + bytes} or more, or files.frameBytesMax of ingestion lower.`,
          });
        } else if (active === undefined || active.end + bytes > options.bytesOf(active)) {
          opening = turn().finally(() => {
            opening = undefined;
          });
          await opening;
        } else {
          const segment = active;
          const offset = segment.end;
          segment.end += bytes;
          options.taken(segment);
          makeReady(segment);
          return { segment, offset };
        }
      }
    },
    close: async () => {
      await opening?.catch(() => undefined);
      const ready = await takeSpare();
      const open = [active, ready].filter((segment) => segment !== undefined);
      active = undefined;
      return open;
    },
    drop: (lost) => {
      if (active !== undefined && lost(active)) active = undefined;
      void spare?.then((ready) => {
        if (ready !== undefined && lost(ready)) dropped.add(ready);
      });
    },
  };
}
