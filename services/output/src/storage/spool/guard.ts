import { AssertionError, CodedError } from "@millrace/errors";
import { createSerial } from "./serial.js";

/**
 * Order and poison for the calls on one spool: writes follow each other, commits follow each other, the two
 * overlap; `alone` waits for both. The first error that isn't a full disk, a body that changed or a bug of
 * ours poisons the guard: that call and every later one is refused with `internal`, the disk's own error as
 * the cause.
 */
export interface Guard {
  write<T>(attempted: string, work: () => Promise<T>): Promise<T>;
  commit<T>(attempted: string, work: () => Promise<T>): Promise<T>;
  alone<T>(attempted: string, work: () => Promise<T>): Promise<T>;
  /** Throws where another call has failed meanwhile: nothing may be promised after that. */
  check(): void;
  /** The spool is finished; calls after that are refused. */
  end(): void;
  /** Ends it after what is under way, poisoned or not; a second time does nothing. */
  close(work: () => Promise<void>): Promise<void>;
}

/** Of errors that say nothing about the disk. */
const passing: ReadonlySet<string> = new Set(["resource_exhausted", "aborted"]);

export function createGuard(): Guard {
  const writes = createSerial();
  const commits = createSerial();
  let poison: CodedError | undefined;
  let isEnded = false;

  function check(): void {
    if (poison !== undefined) throw poison;
    if (isEnded) throw new CodedError("failed_precondition", "use spool: it is finished");
  }

  async function guarded<T>(attempted: string, work: () => Promise<T>): Promise<T> {
    check();
    try {
      return await work();
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      if (error instanceof CodedError && passing.has(error.code)) throw error;
      poison ??= new CodedError(
        "internal",
        `${attempted}: the disk failed; nothing written after that is trusted`,
        {
          cause: error,
          remedy: "Look after the volume, then start the service again: it goes on from what was committed.",
        },
      );
      throw poison;
    }
  }

  return {
    write: (attempted, work) => writes(() => guarded(attempted, work)),
    commit: (attempted, work) => commits(() => guarded(attempted, work)),
    alone: (attempted, work) => commits(() => writes(() => guarded(attempted, work))),
    check,
    end: () => {
      isEnded = true;
    },
    close: (work) =>
      commits(() =>
        writes(async () => {
          if (isEnded) return;
          isEnded = true;
          await work();
        }),
      ),
  };
}
