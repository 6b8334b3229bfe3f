import type { ServiceDefinition } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";

/**
 * Stands where a request could not be decoded: grpc-js would answer INTERNAL, as if the mistake were ours.
 */
const malformed = Symbol("malformed request");

/** The definition with decoders that don't throw; whoever takes a request asks `decoded` for it. */
export function tolerant(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer): unknown => {
        try {
          return method.requestDeserialize(bytes);
        } catch {
          return { [malformed]: true };
        }
      };
      return [name, { ...method, requestDeserialize }];
    }),
  );
}

/** The request, unless it came as bytes that are no such message: `invalid_argument`. */
export function decoded<Q>(request: Q): Q {
  if (typeof request === "object" && request !== null && malformed in request) {
    throw new CodedError("invalid_argument", "decode request: malformed protobuf", {
      field: "request",
      remedy: "Encode it by the .proto files of this server; reflection serves them.",
    });
  }
  return request;
}
