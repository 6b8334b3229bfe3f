import { CodedError } from "@millrace/errors";
import type { FileBytes } from "../file-reader.js";
import type { TrackedFile } from "../tracked-file.js";

/**
 * A file's content several times in a row, for load tests, as if it were one long file:
 *
 *   file        │ 0 … passBytes │
 *   positions   │ 0 … passBytes │ passBytes … 2 × passBytes │ … │ … repeat × passBytes │
 *                    pass 0                pass 1                    pass repeat - 1
 *
 * A position is pass × passBytes + offset, so where buffer says that the source resumes tells both. That
 * holds only while the size stays: it is taken at the first look; any other one later is the file's error.
 */
export async function repeatFile(
  file: FileBytes,
  tracked: TrackedFile,
  whole: { size: number; repeat: number },
): Promise<FileBytes> {
  const size = whole.size / whole.repeat;
  const passBytes = (tracked.passBytes ??= size);
  if (size !== passBytes) throw resized(tracked, size);
  if (!Number.isSafeInteger(whole.size)) {
    const problem = `${whole.repeat} passes over ${size} bytes are more than positions can count`;
    throw unfit(`${tracked.name}: ${problem}`, "Read it fewer times.");
  }
  if (size > 0 && !(await endsLine(file, size))) {
    throw unfit(`${tracked.name}: its last line is incomplete, so the next pass would go on in it`, endIt);
  }
  const resume = (tracked.framer?.position ?? 0) % Math.max(1, size);
  // The framer goes on at a line's start, except inside a line that is passed over as too long.
  const isInLine = tracked.framer !== undefined && tracked.framer.framedTo < tracked.framer.position;
  if (resume > 0 && !isInLine && !(await endsLine(file, resume))) {
    throw unfit(
      `${tracked.name}: byte ${resume}, where it resumes, starts no line: it is another file`,
      restart,
    );
  }
  return {
    read: (target, offset, length, position) => {
      // What the last scan saw: the file may change while the passes over it go on for hours.
      if (tracked.size !== whole.size) throw resized(tracked, tracked.size / whole.repeat);
      const at = position % passBytes;
      return file.read(target, offset, Math.min(length, passBytes - at), at);
    },
  };
}

const lineFeed = 0x0a;
const restart = "Start over by copying it to a new file: a new file is read from its start.";
const endIt = "End it with a line feed, as a new file.";

async function endsLine(file: FileBytes, end: number): Promise<boolean> {
  const last = Buffer.alloc(1);
  await file.read(last, 0, 1, end - 1);
  return last[0] === lineFeed;
}

function resized(tracked: TrackedFile, size: number): CodedError {
  const sizes = `from ${tracked.passBytes} to ${size} bytes`;
  return unfit(
    `${tracked.name} changed ${sizes}; a repeated file must stay`,
    `${restart} To follow what is appended, leave repeat out.`,
  );
}

function unfit(problem: string, remedy: string): CodedError {
  return new CodedError("failed_precondition", problem, { field: "source.file.repeat", remedy });
}
