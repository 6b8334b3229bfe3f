import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type Operation, readOperations, type Sent } from "@millrace/testkit";

type WithoutTime<T> = T extends { at: number } ? Omit<T, "at"> : never;

type Begun = Extract<Operation, { kind: "invoke" }>;

/** The history of one run, on disk before the next call is made of it. */
export interface History {
  readonly path: string;
  note(operation: WithoutTime<Operation>): void;
  /** How many calls had this outcome so far. */
  count(kind: Operation["kind"]): number;
  /** Calls that have no outcome yet. */
  open(): Begun[];
  /** Ends it and reads it back as it was written. */
  read(): Promise<Sent[]>;
}

export async function openHistory(path: string): Promise<History> {
  await mkdir(dirname(path), { recursive: true });
  const file = createWriteStream(path);
  const began = performance.now();
  const counts = new Map<Operation["kind"], number>();
  const invoked = new Map<string, Begun>();
  let ended: Promise<unknown> | undefined;
  return {
    path,
    open: () => [...invoked.values()],
    note: (noted) => {
      const operation = { at: Math.round(performance.now() - began), ...noted };
      if (operation.kind === "invoke") invoked.set(operation.id, operation);
      else invoked.delete(operation.id);
      counts.set(operation.kind, (counts.get(operation.kind) ?? 0) + 1);
      file.write(`${JSON.stringify(operation)}\n`);
    },
    count: (kind) => counts.get(kind) ?? 0,
    read: async () => {
      ended ??= (async () => {
        file.end();
        await once(file, "close");
      })();
      await ended;
      return readOperations(await readFile(path, "utf8"));
    },
  };
}
