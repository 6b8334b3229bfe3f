import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { fromStatus } from "./status.js";

/** All messages of a server stream, in order; errors come as CodedError. */
export function collect<T>(stream: ClientReadableStream<T>, attempted: string): Promise<T[]> {
  return new Promise((resolve, reject) => {
    const messages: T[] = [];
    stream.on("data", (message: T) => void messages.push(message));
    stream.on("end", () => resolve(messages));
    stream.on("error", (error: ServiceError) => reject(fromStatus(error, attempted)));
  });
}
