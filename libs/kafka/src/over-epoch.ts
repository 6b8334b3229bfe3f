import { CodedError } from "@millrace/errors";

/** Another member may have the partition by now, and may be further. */
export function overEpoch(): CodedError {
  return new CodedError("failed_precondition", "kafka: commit offsets: the assignment is over");
}
