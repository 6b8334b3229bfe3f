import type { TestContext } from "node:test";
import type { MillraceClient } from "@millrace/sdk";

/** What every source and every sink is asked; see docs/reliability.md. */
export type CaseName =
  | "resume after kill"
  | "lost connection"
  | "back-pressure"
  | "bad input"
  | "TLS"
  | "limits";

export interface UnderTest {
  readonly name: string;
  /** Cases that this kind cannot have here, each with a reason that a reader may dispute. */
  readonly leftOut: Partial<Record<CaseName, string>>;
}

/** Those of the kinds that can have the case. */
export function having<Kind extends UnderTest>(kinds: readonly Kind[], name: CaseName): Kind[] {
  return kinds.filter(({ leftOut }) => leftOut[name] === undefined);
}

/** Prints what was left out, and why: no case is skipped in silence. */
export function tellLeftOut(t: TestContext, kinds: readonly UnderTest[]): void {
  for (const { name, leftOut } of kinds) {
    for (const [of, reason] of Object.entries(leftOut)) t.diagnostic(`${name}: no ${of}: ${reason}`);
  }
}

/** Something wrong that is given among what is right, and where it is told. */
export interface BadItem {
  what: string;
  /**
   * `dead letter`: counted, with the reason. `caller`: `give` resolves with the refusal. `status`: the last
   * error of the source or sink. `passed`: it is none, and arrives as the words say.
   */
  told: "dead letter" | "caller" | "status" | "passed";
  words: RegExp;
  give(): Promise<unknown>;
}

/** Reasons of all dead letters of a stream. */
export async function lettersOf(client: MillraceClient, stream: string): Promise<string[]> {
  const reasons: string[] = [];
  for await (const { reason } of client.deadLetters.list({ stream })) reasons.push(reason);
  return reasons;
}
