import type { Sent } from "./checkers.js";

/*
 * The history of a run as its clients wrote it down, one JSON object a line, before and after each call:
 *
 *     {"at":12,"kind":"invoke","id":"m1","source":"s","position":1,"content":"…"}
 *     {"at":15,"kind":"ok","id":"m1"}          it is promised
 *                    "fail"                    it was refused: it must not arrive
 *                    "unknown", or no outcome  it may arrive or not
 */
export type Operation =
  | {
      /** Milliseconds since the run began. */
      at: number;
      kind: "invoke";
      id: string;
      source: string;
      position: number;
      content: string;
    }
  | { at: number; kind: "ok" | "fail" | "unknown"; id: string };

/**
 * What was sent, acknowledged or not. Refused messages are left out, so that one that arrives all the same
 * counts as altered: nobody sent it. Throws where a line is broken, or tells of a call that never began or
 * ended twice: a history that can't be trusted proves nothing.
 */
export function readOperations(text: string): Sent[] {
  const sent = new Map<string, Sent>();
  const ended = new Set<string>();
  const lines = text.split("\n");
  if (lines.pop() !== "") throw new Error("history: its last line is cut");
  for (const [index, line] of lines.entries()) {
    const operation = JSON.parse(line) as Operation;
    const wrong = (what: string): Error => new Error(`history, line ${index + 1}: ${operation.id} ${what}`);
    if (operation.kind === "invoke") {
      if (sent.has(operation.id) || ended.has(operation.id)) throw wrong("was begun twice");
      const { id, source, position, content } = operation;
      sent.set(id, { id, source, position, content, acknowledged: false });
      continue;
    }
    const begun = sent.get(operation.id);
    if (ended.has(operation.id)) throw wrong("ended twice");
    if (begun === undefined) throw wrong("ended and never began");
    ended.add(operation.id);
    if (operation.kind === "ok") begun.acknowledged = true;
    if (operation.kind === "fail") sent.delete(operation.id);
  }
  return [...sent.values()];
}
