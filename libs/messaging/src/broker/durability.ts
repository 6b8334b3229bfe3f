import { CodedError } from "@millrace/errors";

/**
 * `synced`: the broker is known to sync before it acknowledges. `unverified`: it can't be asked, or it does
 * not.
 */
export type Durability = "synced" | "unverified";

interface Varz {
  jetstream?: { config?: { sync_always?: boolean } };
}

/**
 * Asks the broker's monitoring endpoint. Errors: `failed_precondition` when durability is required and not
 * given.
 */
export async function askDurability(monitorUrl: string | undefined, required: boolean): Promise<Durability> {
  let synced = false;
  if (monitorUrl !== undefined) {
    try {
      const response = await fetch(new URL("/varz", monitorUrl), { signal: AbortSignal.timeout(5_000) });
      const varz = (await response.json()) as Varz;
      synced = varz.jetstream?.config?.sync_always === true;
    } catch {
      synced = false;
    }
  }
  if (synced) return "synced";
  if (required) {
    throw new CodedError(
      "failed_precondition",
      "verify durability: the broker does not say that it syncs before it acknowledges",
      {
        field: "nats.requireDurable",
        remedy: "Set jetstream sync_interval: always on the broker and nats.monitorUrl here.",
      },
    );
  }
  return "unverified";
}
