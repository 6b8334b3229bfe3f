import assert from "node:assert/strict";
import { MillraceError } from "@millrace/sdk";
import type { RpcEnd } from "./raw-rpc.js";

/** Asserts that a call ended with the code, named the field and said what to do. */
export function refused(end: RpcEnd, code: string, field?: string): void {
  const shown = JSON.stringify({ ...end, answers: end.answers.length });
  assert.equal(end.code, code, shown);
  if (field !== undefined) assert.equal(end.field, field, shown);
  assert.ok(end.field !== "" && end.remedy !== "" && end.message !== "", shown);
}

/** The same of a call of the SDK. */
export async function rejects(call: Promise<unknown>, code: string, field: string): Promise<void> {
  await assert.rejects(call, (caught) => {
    assert.ok(caught instanceof MillraceError, String(caught));
    assert.deepEqual([caught.code, caught.field], [code, field], caught.toString());
    return caught.remedy !== undefined;
  });
}
