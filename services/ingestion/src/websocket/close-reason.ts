import { CodedError } from "@millrace/errors";

/**
 * Why a connection was not opened or has ended, in our words: what a peer writes into a close frame or an
 * error page is content. Codes that waiting cures (see `isWaiting`) are tried again soon, others slowly.
 */
const field = "source.websocket.url";
const headersField = "source.websocket.headers";

/** A 429 or 503 may say when to come back; longer than this is not waited. */
const retryAfterMsMax = 300_000;

export interface Answer {
  status: number;
  /** The header of that name. */
  retryAfter: string | undefined;
}

/** The handshake was answered with something else than an upgrade. */
export function refusedWith({ status, retryAfter }: Answer): CodedError {
  const message = `connect: the peer answered with HTTP status ${status}`;
  if (status === 401 || status === 403) {
    return new CodedError(status === 401 ? "unauthenticated" : "permission_denied", message, {
      field: headersField,
      remedy: "Correct the credentials in the headers, or renew the secret that they name.",
    });
  }
  if (status >= 300 && status < 400) {
    const remedy = "Redirects are not followed: give the URL that it leads to.";
    return new CodedError("failed_precondition", message, { field, remedy });
  }
  if (status === 429 || status === 408 || status >= 500) {
    const seconds = /^\d{1,9}$/.test(retryAfter ?? "") ? Number(retryAfter) : 0;
    const retryAfterMs = Math.min(seconds * 1000, retryAfterMsMax);
    return new CodedError("unavailable", message, { field, ...(retryAfterMs > 0 ? { retryAfterMs } : {}) });
  }
  const remedy = "Correct the URL: a WebSocket is not served there.";
  return new CodedError("not_found", message, { field, remedy });
}

const passing: Readonly<Record<number, string>> = {
  1000: "the peer ended it",
  1001: "the peer goes away",
  1005: "the peer ended it",
  1006: "it was lost",
  1011: "the peer failed",
  1012: "the peer restarts",
  1013: "the peer is too busy",
  1014: "a gateway before the peer failed",
};

/** An open connection was closed by the peer, or broke. */
export function closedWith(code: number): CodedError {
  const why = passing[code];
  if (why !== undefined)
    return new CodedError("unavailable", `connection closed: ${why} (${code})`, { field });
  // 4401 and 4403 are common among feeds, 3000 and 3003 are registered.
  if ([3000, 3003, 4401, 4403].includes(code)) {
    return new CodedError(
      "unauthenticated",
      `connection closed: the peer refused the credentials (${code})`,
      {
        field: headersField,
        remedy: "Correct the credentials in headers and subscribe frames, or renew the secrets they name.",
      },
    );
  }
  return new CodedError("failed_precondition", `connection closed: the peer refused it (${code})`, {
    field,
    remedy: "See the peer's documentation for the code; most often a subscribe frame is wrong.",
  });
}

const untrusted = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_GET_ISSUER_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  // Signed by another CA of the same name, as one whose key was replaced.
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "CERT_REJECTED",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REVOKED",
  "ERR_TLS_CERT_ALTNAME_INVALID",
]);

/** What `ws` found wrong with what it received; the connection is closed with the code in brackets. */
const received: Readonly<Record<string, string>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: "a message is larger than 1 MiB (1009)",
  WS_ERR_TOO_MANY_BUFFERED_PARTS: "a message is in too many fragments (1008)",
  WS_ERR_INVALID_UTF8: "a text is not UTF-8 (1007)",
};

/** An error of the socket, of TLS, or of the frames that came. */
export function brokenBy(caught: unknown): CodedError {
  if (caught instanceof CodedError) return caught;
  const { code: found } = (caught ?? {}) as { code?: unknown };
  const code = typeof found === "string" ? found : "";
  const what = received[code] ?? (code.startsWith("WS_ERR_") ? `a frame is malformed (${code})` : undefined);
  if (what !== undefined) {
    const remedy = "Ask the peer for less at a time, or for what the protocol allows.";
    return new CodedError("failed_precondition", `connection closed: ${what}`, { field, remedy });
  }
  if (untrusted.has(code)) {
    return new CodedError("failed_precondition", `connect: the peer's certificate is not trusted (${code})`, {
      field,
      remedy: "Let the operator add the CA that issued it to ingestion's egress.caFile.",
    });
  }
  if (code === "ERR_INVALID_CHAR" || code === "ERR_INVALID_HTTP_TOKEN") {
    return new CodedError("invalid_argument", "connect: a header can't be sent as it is", {
      field: headersField,
      remedy: "Use visible ASCII characters on one line, in the secret's file too.",
    });
  }
  // The system's own message names the address that the host has.
  return new CodedError("unavailable", `connect: the peer can't be reached${code && ` (${code})`}`, {
    field,
  });
}

export const silent = (seconds: number): CodedError =>
  new CodedError("unavailable", `connection closed: nothing came for ${seconds} s, not even a pong`, {
    field,
  });

export const slowHandshake = (seconds: number): CodedError =>
  new CodedError("unavailable", `connect: no answer to the handshake within ${seconds} s`, { field });
