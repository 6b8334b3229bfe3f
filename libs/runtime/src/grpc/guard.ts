import { type Metadata, ServerInterceptingCall, type ServerInterceptor, status } from "@grpc/grpc-js";
import type { CodedError } from "@millrace/errors";
import { toStatus } from "./status.js";

export interface AskedCall {
  /** `/millrace.buffer.v1.BufferService/Append` */
  path: string;
  metadata: Metadata;
  /** DNS names of the caller's certificate; none where it showed none. */
  names: readonly string[];
}

/** Why the caller may not; undefined: it may. */
export type CallCheck = (call: AskedCall) => CodedError | undefined;

/**
 * Checks each call of each method, streams and reflection too, before anything of it is read. Health may be
 * asked by whoever may connect.
 */
export function guard(check: CallCheck): ServerInterceptor {
  return ({ path }, call) => {
    if (path.startsWith("/grpc.health.v1.Health/")) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            const { sslPeerCertificate } = call.getAuthContext();
            const error = check({ path, metadata, names: dnsNames(sslPeerCertificate?.subjectaltname) });
            if (error === undefined) return pass(metadata);
            const { code = status.INTERNAL, details = "", metadata: trailer } = toStatus(error);
            call.sendStatus({ code, details, ...(trailer === undefined ? {} : { metadata: trailer }) });
          },
        }),
    });
  };
}

/**
 * `DNS:a, IP Address:127.0.0.1, DNS:b` → a, b. Node quotes names with characters that no DNS name has, such
 * as a comma; a certificate that has one is taken for nobody's.
 */
export function dnsNames(alternatives: string | undefined): string[] {
  if (alternatives === undefined || alternatives.includes('"')) return [];
  return alternatives
    .split(", ")
    .filter((one) => one.startsWith("DNS:"))
    .map((one) => one.slice("DNS:".length));
}
