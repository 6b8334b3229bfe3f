import { CodedError } from "@millrace/errors";
import type { StreamStore } from "@millrace/messaging";
import type { Source } from "@millrace/proto/source";

interface Named {
  tenant: string;
  stream: string;
  id: string;
  /** What was attempted. */
  verb: string;
}

/**
 * The source of that id, asked of the store: what the registry shows may be older than the caller's last
 * call. Errors: `invalid_argument`, `not_found`.
 */
export async function requireSource(
  store: Pick<StreamStore, "getSource">,
  { tenant, stream, id, verb }: Named,
): Promise<Source> {
  const field = "id";
  if (!/^[0-9a-f]{32}$/.test(id)) {
    const remedy = "Use the id that AddSource answered with; ListSources shows it.";
    throw new CodedError("invalid_argument", `${verb} source: that is no id of a source`, { field, remedy });
  }
  const source = await store.getSource(tenant, stream, id);
  if (source !== undefined) return source;
  const remedy = "List the stream's sources with ListSources.";
  throw new CodedError("not_found", `${verb} source: stream ${stream} has none of that id`, {
    field,
    remedy,
  });
}
