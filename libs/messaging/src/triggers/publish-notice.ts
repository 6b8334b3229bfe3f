import { CodedError } from "@millrace/errors";
import { headers as makeHeaders } from "@nats-io/transport-node";
import type { Broker } from "../broker/broker.js";

/** To whoever listens, without a stream that keeps it; resolves when the broker has it. */
export async function publishNotice(
  { connection, isConnected }: Broker,
  subject: string,
  { data, headers }: { data: Uint8Array; headers: Readonly<Record<string, string>> },
): Promise<void> {
  const unavailable = (cause?: unknown): CodedError =>
    new CodedError("unavailable", "publish a notice: no answer from the broker", { cause });
  if (!isConnected()) throw unavailable();
  const named = makeHeaders();
  for (const [name, value] of Object.entries(headers)) named.set(name, value);
  try {
    connection.publish(subject, data, { headers: named });
    await connection.flush();
  } catch (cause) {
    throw unavailable(cause);
  }
}
