/**
 * Group commit: many writers share one sync. A caller's sync begins after its call, so it covers all that the
 * caller wrote before; whoever comes while a sync runs shares the next one.
 *
 *     writes   a  b    c d e
 *     syncs    └─a─┘└───b────┘└──c d e──┘
 *
 * After a failed sync the kernel may have dropped the pages and called them clean: a later one would succeed
 * and lie (Rebello et al., ATC 2020). So the first failure is final: it fails every call that follows.
 */
export interface GroupSync<F> {
  /** Resolves when a sync of the file that began after this call has ended well. */
  sync(file: F): Promise<void>;
}

export function createGroupSync<F extends { fdatasync(): Promise<void> }>(): GroupSync<F> {
  const written = new Set<F>();
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  let failure: { cause: unknown } | undefined;

  const run = async (previous: Promise<void>): Promise<void> => {
    await previous.catch(() => undefined);
    next = undefined;
    const files = [...written];
    written.clear();
    if (failure !== undefined) throw failure.cause;
    try {
      await Promise.all(files.map((file) => file.fdatasync()));
    } catch (cause) {
      failure = { cause };
      throw cause;
    }
  };
  return {
    sync: (file) => {
      written.add(file);
      if (next === undefined) {
        next = run(running);
        running = next;
      }
      return next;
    },
  };
}
