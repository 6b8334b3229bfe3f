import { invalidArgument } from "../rpc/millrace-error.js";
import type { Channel } from "../rpc/channel.js";
import { checkKeys, checkText, checkTexts, place } from "../units/checks.js";
import { type Duration, parseDuration, toWireDuration } from "../units/duration.js";
import { type SecretValue, toValue } from "../source/secret-value.js";
import { addSource, type SourceHandle } from "./source-handle.js";

export interface WebsocketSourceOptions {
  /** `wss://…`, or `ws://…` where the operator allows it. It is shown; credentials belong in `headers`. */
  url: string;
  /** Of the handshake: `{ authorization: { secret: "feed-token" } }`. */
  headers?: Record<string, SecretValue>;
  /** Text frames that are sent when the connection is open, in this order; with credentials as a secret. */
  subscribe?: readonly SecretValue[];
  /**
   * How the peer is asked to go on after a lost connection: `{value}` in the frame stands for the last value
   * of that field in a JSON message, written as JSON.
   */
  resume?: { frame: string; field: string };
  /** Offered in the handshake. */
  subprotocols?: readonly string[];
  /** How often a ping is sent, 1 s to 10 min; who answers nothing for 10 s is given up. Default 30 s. */
  pingInterval?: Duration;
  /** A text frame that is sent along with each ping, for peers that want one of their own. */
  pingFrame?: string;
  /** What the messages are attributed to. Default: the URL's host. */
  sourceId?: string;
}

const keys = [
  "url",
  "headers",
  "subscribe",
  "resume",
  "subprotocols",
  "pingInterval",
  "pingFrame",
  "sourceId",
] as const;

export async function addWebsocketSource(
  channel: Channel,
  stream: string,
  options: WebsocketSourceOptions,
): Promise<SourceHandle> {
  checkKeys(options, keys, "");
  const { url, headers = {}, subscribe = [], resume, subprotocols = [], pingFrame, sourceId } = options;
  checkText(url, "url");
  if (pingFrame !== undefined) checkText(pingFrame, "pingFrame");
  if (sourceId !== undefined) checkText(sourceId, "sourceId");
  checkTexts(subprotocols, "subprotocols");
  if (resume !== undefined) {
    checkKeys(resume, ["frame", "field"], "resume");
    checkText(resume.frame, "resume.frame");
    checkText(resume.field, "resume.field");
  }
  if (typeof headers !== "object" || Array.isArray(headers)) {
    throw invalidArgument("headers", "is no object", "Give values by the names of headers.");
  }
  if (!Array.isArray(subscribe)) throw invalidArgument("subscribe", "is no list", "Give an array of frames.");
  const { pingInterval } = options;
  const pingMs = pingInterval === undefined ? undefined : parseDuration(pingInterval, "pingInterval");
  const named = Object.entries(headers).map(([name, value]) => [
    name,
    toValue(value, place("headers", name)),
  ]);
  const value = {
    url,
    headers: Object.fromEntries(named),
    subscribe: subscribe.map((frame, index) => toValue(frame, `subscribe[${index}]`)),
    resume,
    subprotocols: [...subprotocols],
    pingInterval: pingMs === undefined ? undefined : toWireDuration(pingMs),
    pingFrame: pingFrame ?? "",
    sourceId: sourceId ?? "",
  };
  return addSource(channel, stream, { $case: "websocket", value });
}
