import { isIP } from "node:net";
import { limits } from "@millrace/envelope";
import { hiddenText, secretName, shownValue } from "@millrace/proto";
import type { ResumeFrame, Value, WebSocketSource } from "@millrace/proto/source";
import { millisecondsOf } from "../stream/wire-duration.js";
import { type CompletedKind, invalid } from "./completed-kind.js";

const headersMax = 32;
const framesMax = 64;
const subprotocolsMax = 16;
const frameBytesMax = 16 * 1024;
const urlCharsMax = 2_048;
const fieldCharsMax = 256;
const pingMs = { default: 30_000, min: 1_000, max: 600_000 };

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
/** Of the handshake itself, or of the hop. */
const ownHeaders =
  /^(host|connection|upgrade|sec-websocket-.*|content-length|transfer-encoding|expect|te|trailer|proxy-.*)$/i;

export function completeWebsocketSource(given: WebSocketSource): CompletedKind {
  const { sourceId, pingFrame, subprotocols } = given;
  checkUrl(given.url);
  if (sourceId.length > limits.sourceIdCharsMax || /[\0-\x1f\x7f]/.test(sourceId)) {
    const remedy = `Use at most ${limits.sourceIdCharsMax} characters and no control characters.`;
    throw invalid("source.websocket.source_id", "cannot name a source", remedy);
  }
  const headers = checkHeaders(given.headers);
  checkSubscribe(given.subscribe);
  checkFrame(pingFrame, "source.websocket.ping_frame");
  const resume = given.resume === undefined ? undefined : checkResume(given.resume);
  checkSubprotocols(subprotocols);
  const pingInterval = given.pingInterval ?? { seconds: pingMs.default / 1000, nanos: 0 };
  const ping = millisecondsOf(pingInterval);
  if (ping < pingMs.min || ping > pingMs.max) {
    const remedy = `Use ${pingMs.min / 1000} s to ${pingMs.max / 1000} s.`;
    throw invalid("source.websocket.ping_interval", `is ${ping} ms`, remedy);
  }
  const value: WebSocketSource = { ...given, headers, resume, pingInterval };
  return { kind: { $case: "websocket", value }, identity: identityOf(value) };
}

/** What others may see of it: no inline header or frame, which may be a credential. */
export function shownWebsocketSource(source: WebSocketSource): WebSocketSource {
  const headers = Object.entries(source.headers).map(([name, value]) => [name, shownValue(value)]);
  return { ...source, headers: Object.fromEntries(headers), subscribe: source.subscribe.map(shownValue) };
}

/**
 * A header's inline value is no part of it: ids are shown, and a short password could be found by trying. The
 * same source with another one is the same source, and goes on with that.
 */
function identityOf(source: WebSocketSource): string[] {
  const { url, headers, subscribe, resume, subprotocols, pingInterval, pingFrame, sourceId } = source;
  const parts = {
    url,
    headers: Object.entries(headers)
      .map(([name, { kind }]) => [name, kind?.$case === "secret" ? kind.value : ""])
      .sort(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
    subscribe: subscribe.map(({ kind }) => kind),
    resume,
    subprotocols,
    ping: millisecondsOf(pingInterval ?? { seconds: 0, nanos: 0 }),
    pingFrame,
    sourceId,
  };
  return [JSON.stringify(parts)];
}

/** Whether the host may be reached is ingestion's to say, which asks for its address. */
function checkUrl(given: string): void {
  const field = "source.websocket.url";
  const remedy = "Write it as wss://host/path.";
  if (given.length > urlCharsMax) throw invalid(field, `is longer than ${urlCharsMax} characters`, remedy);
  if (!URL.canParse(given)) throw invalid(field, "is no URL", remedy);
  const { protocol, username, password, hash, hostname } = new URL(given);
  if (protocol !== "wss:" && protocol !== "ws:") throw invalid(field, "is no URL of a WebSocket", remedy);
  if (username !== "" || password !== "") {
    throw invalid(field, "holds credentials", "Send them in a header whose value is a secret's name.");
  }
  if (hash !== "") throw invalid(field, "has a fragment", "Leave out what follows the #.");
  if (hostname === "" || (isIP(hostname) === 0 && hostname.length > 253)) {
    throw invalid(field, "has no host's name", remedy);
  }
}

function checkHeaders(given: WebSocketSource["headers"]): WebSocketSource["headers"] {
  const entries = Object.entries(given);
  const field = "source.websocket.headers";
  if (entries.length > headersMax)
    throw invalid(field, `has ${entries.length} entries`, `Use ${headersMax}.`);
  const names = new Set(entries.map(([name]) => name.toLowerCase()));
  if (names.size < entries.length) throw invalid(field, "names a header twice", "Name it once.");
  for (const [name, value] of entries) {
    if (!token.test(name)) throw invalid(field, "has a name that no header can have", "Use letters and -.");
    if (ownHeaders.test(name)) {
      throw invalid(`${field}.${name}`, "belongs to the handshake", "Leave it out; see also subprotocols.");
    }
    checkValue(value, `${field}.${name}`);
    const { kind } = value;
    if (kind?.$case === "text" && !/^[\x20-\x7e\t]*$/.test(kind.value)) {
      throw invalid(`${field}.${name}`, "can't be sent in a header", "Use visible ASCII characters.");
    }
  }
  return given;
}

function checkSubscribe(frames: readonly Value[]): void {
  const field = "source.websocket.subscribe";
  if (frames.length > framesMax) throw invalid(field, `has ${frames.length} frames`, `Use ${framesMax}.`);
  for (const [index, frame] of frames.entries()) checkValue(frame, `${field}[${index}]`);
}

function checkValue({ kind }: Value, field: string): void {
  if (kind === undefined) throw invalid(field, "has neither a text nor a secret", "Give one of the two.");
  if (kind.$case === "text") {
    if (kind.value === hiddenText) {
      throw invalid(field, `is ${hiddenText}, as hidden values are shown`, "Give the value itself.");
    }
    checkFrame(kind.value, field);
  } else if (!secretName.test(kind.value)) {
    const remedy = "Name a file in the operator's directory of secrets: letters, digits, _, - and dots.";
    throw invalid(field, "names no secret", remedy);
  }
}

function checkFrame(frame: string, field: string): void {
  if (Buffer.byteLength(frame) <= frameBytesMax) return;
  throw invalid(field, `is longer than ${frameBytesMax} bytes`, "Split it into several.");
}

function checkResume(resume: ResumeFrame): ResumeFrame {
  const field = "source.websocket.resume";
  checkFrame(resume.frame, `${field}.frame`);
  if (!resume.frame.includes("{value}")) {
    const remedy = 'Write it where the value goes: {"op":"replay","after":{value}}.';
    throw invalid(`${field}.frame`, "has no {value}", remedy);
  }
  if (resume.field === "" || resume.field.length > fieldCharsMax || resume.field.split(".").includes("")) {
    throw invalid(`${field}.field`, "names no field", "Name it as in data.seq.");
  }
  return resume;
}

function checkSubprotocols(subprotocols: readonly string[]): void {
  const field = "source.websocket.subprotocols";
  const isDouble = new Set(subprotocols).size < subprotocols.length;
  if (subprotocols.length <= subprotocolsMax && !isDouble && subprotocols.every((name) => token.test(name)))
    return;
  throw invalid(
    field,
    "can't be offered",
    `Use at most ${subprotocolsMax} names, each once, without spaces.`,
  );
}
