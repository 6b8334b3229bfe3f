import { CodedError } from "@millrace/errors";

// A place in a stream of the bus: base64url of
//
//   <seq>.<index>.<created ms>
//
// Behind row `index` of message `seq`. Index "end": behind the whole message. Index "gap": behind `seq`,
// which is no message of this subscriber, but the place from which it began. The creation time tells a stream
// from one of the same name that was deleted.

export interface Place {
  seq: number;
  index: number | "end" | "gap";
}

export function formatToken({ seq, index }: Place, createdMs: number): string {
  return Buffer.from(`${seq}.${index}.${createdMs}`).toString("base64url");
}

/** Errors: `invalid_argument`. */
export function parseToken(token: string, createdMs: number): Place {
  const text = Buffer.from(token, "base64url").toString("latin1");
  const parts = /^(\d{1,16})\.(\d{1,4}|end|gap)\.(\d{1,16})$/.exec(text);
  if (parts === null) throw invalid("that is no token of this service");
  if (Number(parts[3]) !== createdMs)
    throw invalid("the token is of another stream, perhaps one that was deleted");
  const index = parts[2] === "end" || parts[2] === "gap" ? parts[2] : Number(parts[2]);
  return { seq: Number(parts[1]), index };
}

/** The first message to read from a place on. */
export function seqFrom({ seq, index }: Place): number {
  return typeof index === "number" ? seq : seq + 1;
}

/** Errors: `invalid_argument` where the bus has not come so far: its store was set up anew. */
export function checkReached({ seq }: Place, lastSeq: number): void {
  if (seq > lastSeq) throw invalid("the token names a place that does not exist");
}

function invalid(problem: string): CodedError {
  return new CodedError("invalid_argument", `resume: ${problem}`, {
    field: "resume_token",
    remedy: "Use the resume_token of an earlier response as it is, or leave it out to start anew.",
  });
}
