import { type Code, CodedError } from "@millrace/errors";

/** What is answered: JSON, or a line of text. */
export interface Reply {
  status: number;
  body: object | string;
}

/** Kubernetes' names for HTTP codes, as `metav1.Status` has them. */
const reasons: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  500: "InternalError",
  503: "ServiceUnavailable",
};

const httpCodes: Partial<Record<Code, number>> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  unavailable: 503,
};

/** A refusal as every client of Kubernetes reads it. */
export function statusReply(code: number, message: string): Reply {
  const reason = reasons[code] ?? "InternalError";
  return {
    status: code,
    body: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code },
  };
}

/** Mistakes of ours are told without their text. */
export function errorReply(caught: unknown): Reply {
  const code = caught instanceof CodedError ? httpCodes[caught.code] : undefined;
  if (code === undefined || !(caught instanceof CodedError)) return statusReply(500, "the adapter failed");
  const remedy = caught.remedy === undefined ? "" : ` ${caught.remedy}`;
  return statusReply(code, `${caught.message}.${remedy}`);
}
