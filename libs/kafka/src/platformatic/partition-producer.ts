import { type API, type Callback, kGetApi, Producer, produceV9 } from "@platformatic/kafka";
import { withFailedAnswers } from "./failed-answers.js";

/**
 * A broker answers for each partition of a request. Where it refuses one, as after a change of its leader,
 * the client sends the whole request again, so that the others would have their messages twice. It asks its
 * own method for every request by name, and keeps what is to be sent again in one array: there we take out
 * what is stored.
 *
 * From version 10 on such an answer also names the new leaders, in fields that the client can't skip: it
 * reads nonsense then. So it is to ask in version 9.
 */
export class PartitionProducer extends Producer {
  override [kGetApi]<Arguments extends unknown[], Response>(
    name: string,
    callback: Callback<API<Arguments, Response>>,
  ): void {
    super[kGetApi]<Arguments, Response>(name, (error, api) => {
      if (error !== null || api === undefined || name !== "Produce") callback(error, api);
      else
        callback(
          null,
          withFailedAnswers(api.version > 9 ? readable<Arguments, Response>() : api, takeOutStored),
        );
    });
  }
}

const readable = <Arguments extends unknown[], Response>(): API<Arguments, Response> =>
  produceV9.api as unknown as API<Arguments, Response>;

interface Sent {
  topic: string;
  partition: number;
}

interface Answer {
  responses: { name: string; partitionResponses: { index: number; errorCode: number }[] }[];
}

const nameOf = (topic: string, partition: number): string => `${topic}:${partition}`;

function takeOutStored(error: Error, given: readonly unknown[]): Error {
  // After the connection: acks, timeout, messages.
  const messages = given[3] as Sent[];
  const { response } = error as { response?: Answer };
  const stored = new Set<string>();
  for (const { name, partitionResponses } of response?.responses ?? []) {
    for (const { index, errorCode } of partitionResponses) {
      if (errorCode === 0) stored.add(nameOf(name, index));
    }
  }
  if (stored.size === 0) return error;
  let kept = 0;
  for (const message of messages) {
    if (!stored.has(nameOf(message.topic, message.partition))) messages[kept++] = message;
  }
  messages.length = kept;
  return error;
}
