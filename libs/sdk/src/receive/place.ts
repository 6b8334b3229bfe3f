import type { Message, SubscribeResponse } from "@millrace/proto/message";

// A place behind one message of a result:
//
//   <token>                the gateway's token: behind the last message of a result
//   <token>~<message id>   behind that message of the result that follows the token
//
// The gateway names places between results only. Read on from the token before, the result comes again, and
// what stands up to the message is left out of it. Were it gone by then (a gap), all that is left is new.

export interface Place {
  /** The gateway's token; empty at the beginning of a subscription. */
  token: string;
  /** The last message that was read behind that token. */
  lastId: string | undefined;
}

const separator = "~";

export function parsePlace(text: string): Place {
  const at = text.lastIndexOf(separator);
  return at < 0
    ? { token: text, lastId: undefined }
    : { token: text.slice(0, at), lastId: text.slice(at + 1) };
}

export function formatPlace({ token, lastId }: Place): string {
  return lastId === undefined ? token : token + separator + lastId;
}

/** The messages of the response behind the place that were not read yet. */
export function unread(messages: Message[], lastId: string | undefined): Message[] {
  if (lastId === undefined) return messages;
  const last = messages.findIndex((message) => message.id === lastId);
  return messages.slice(last + 1);
}

/** The place behind each message of a response that follows a token. */
export function placesOf(
  { messages, resumeToken, places }: Pick<SubscribeResponse, "messages" | "resumeToken" | "places">,
  before: string,
): Place[] {
  const results = places.length === 0 ? [{ messages: messages.length, resumeToken }] : places;
  let [at, token] = [0, before];
  return results.flatMap((result) => {
    const ofResult = messages.slice(at, at + result.messages);
    const behind = token;
    at += result.messages;
    token = result.resumeToken;
    return ofResult.map(({ id }, index) =>
      index === ofResult.length - 1
        ? { token: result.resumeToken, lastId: undefined }
        : { token: behind, lastId: id },
    );
  });
}
