import { CodedError } from "@millrace/errors";
import type { Stream } from "@millrace/proto/stream";

/** Names are tokens of subjects, hence the narrow alphabet. */
const pattern = /^[a-z][a-z0-9-]{0,63}$/;

export function checkStreamName(name: string, field: string): void {
  if (pattern.test(name) && !name.endsWith("-")) return;
  throw new CodedError("invalid_argument", "name a stream: that is no name of a stream", {
    field,
    remedy: "Use 1 to 64 of a-z, 0-9 and '-', beginning with a letter and not ending in '-'.",
  });
}

export type FindStream = (tenant: string, name: string) => Promise<Stream | undefined>;

/** The stream of that name. Errors: `not_found` and what to do about it. */
export async function requireStream(
  find: FindStream,
  of: { tenant: string; name: string },
  field = "stream",
): Promise<Stream> {
  checkStreamName(of.name, field);
  const stream = await find(of.tenant, of.name);
  if (stream !== undefined) return stream;
  throw new CodedError("not_found", `find stream ${of.name}: there is none`, {
    field,
    remedy: "Create it with CreateStream.",
  });
}
