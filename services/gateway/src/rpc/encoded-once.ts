import type { MethodDefinition } from "@grpc/grpc-js";

/**
 * The method, encoding a response that is written to many callers once: at 1,000 subscribers of one stream
 * the same object would be encoded 1,000 times. A response must not change once it was written.
 */
export function encodedOnce<Q, R extends object>(method: MethodDefinition<Q, R>): MethodDefinition<Q, R> {
  const encoded = new WeakMap<R, Buffer>();
  return {
    ...method,
    responseSerialize: (response) => {
      let bytes = encoded.get(response);
      if (bytes === undefined) {
        bytes = method.responseSerialize(response);
        encoded.set(response, bytes);
      }
      return bytes;
    },
  };
}
