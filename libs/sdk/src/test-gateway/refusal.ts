import { Metadata, type status } from "@grpc/grpc-js";
import { encodeRpcStatus, type RpcStatus } from "@millrace/proto/rpc-status";

/** The error of a call, with its details as the gateway sends them. */
export function refusal(
  code: status,
  message: string,
  details: Omit<RpcStatus, "code" | "message"> = {},
): Error {
  const metadata = new Metadata();
  const trailer = Buffer.from(encodeRpcStatus({ code, message, ...details }));
  metadata.set("grpc-status-details-bin", trailer);
  return Object.assign(new Error(message), { code, details: message, metadata });
}
