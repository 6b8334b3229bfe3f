import type { ServiceDefinition } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import { strictReader } from "@millrace/proto";

/**
 * Stands where a request could not be decoded: grpc-js would answer INTERNAL, as if the mistake were ours.
 */
const malformed = Symbol("malformed request");

/**
 * The definition of a generated service with decoders that don't throw, and don't mend a text that is no
 * UTF-8; whoever takes a request asks `decoded` for it.
 */
export function tolerant(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer): unknown => {
        try {
          // Generated decoders take a reader as well as bytes; the library's type knows only the latter.
          return method.requestDeserialize(strictReader(bytes) as unknown as Buffer);
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
