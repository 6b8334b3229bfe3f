/**
 * The closed set of reasons for which an operation can fail. The names and numbers are gRPC's canonical
 * status codes, so that an error crosses a process border without a table.
 */
export const codes = {
  canceled: 1,
  unknown: 2,
  invalid_argument: 3,
  deadline_exceeded: 4,
  not_found: 5,
  already_exists: 6,
  permission_denied: 7,
  resource_exhausted: 8,
  failed_precondition: 9,
  aborted: 10,
  out_of_range: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  data_loss: 15,
  unauthenticated: 16,
} as const;

export type Code = keyof typeof codes;

const byNumber = new Map<number, Code>((Object.keys(codes) as Code[]).map((name) => [codes[name], name]));

/** The code of a gRPC status number; numbers outside the set are `unknown`. */
export function codeOf(status: number): Code {
  return byNumber.get(status) ?? "unknown";
}
