import { type DerivedCalls, type HandledOf, RetryLater } from "@millrace/sdk";

/** A handler as an application would write it; `handler.test.ts` tests it. */
export async function greet(
  stream: DerivedCalls,
  customers: ReadonlyMap<string, string>,
  { sourceId, content }: Pick<HandledOf<"text">, "sourceId" | "content">,
): Promise<void> {
  const name = customers.get(sourceId);
  if (name === undefined) throw new RetryLater({ delay: "5s" });
  await stream.publishResult(sourceId, "greeting", `${content}, ${name}`);
}
