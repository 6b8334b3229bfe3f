import { decodeBatch, messageViews, openBatch } from "@millrace/envelope";
import type { Tailed } from "@millrace/messaging";
import type { Message, SubscribeResponse } from "@millrace/proto/message";
import { partsOf } from "./result-responses.js";
import { formatToken } from "./resume-token.js";

/** A result as all its subscribers read it: decoded once and encoded once, however many they are. */
export interface ResultEntry {
  seq: number;
  /** Messages of it. */
  count: number;
  /** Bytes that it came as. */
  bytes: number;
  receivedMs: number;
  /** All its messages, in their order. */
  messages(): readonly Message[];
  /** What a subscriber who reads all of it is told: the same objects to everybody. */
  whole(createdMs: number): readonly SubscribeResponse[];
  /** The same of several in a row that end with this one, as one response. */
  joined(entries: readonly ResultEntry[], createdMs: number): SubscribeResponse;
  /** Forgets what can be made again from the bytes that it came as. */
  shrink(): void;
}

/** Responses of several results, for those who wait for the same ones; the latest that were made. */
export type Joints = Map<string, SubscribeResponse>;

/** Each is encoded once and kept so, up to 256 KiB: subscribers who lag behind may each want others. */
const jointsMax = 32;

export function createResultEntry(
  { seq, data }: Tailed,
  receivedMs: number,
  joints: Joints = new Map(),
): ResultEntry {
  const batch = decodeBatch(data);
  const count = batch.header?.count ?? 0;
  let decoded: readonly Message[] | undefined;
  let responses: { createdMs: number; parts: readonly SubscribeResponse[] } | undefined;
  const decode = (): readonly Message[] => {
    const open = openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
    return Array.from({ length: open.header.count }, (_, row) => row).map(messageViews(open));
  };
  const messages = (): readonly Message[] => (decoded ??= decode());
  return {
    seq,
    count,
    bytes: data.length,
    receivedMs,
    messages,
    whole: (createdMs) => {
      if (responses?.createdMs !== createdMs) {
        const parts = [...partsOf(messages(), { afterIndex: -1 })].map((part) => ({
          messages: part.messages,
          resumeToken: formatToken({ seq, index: part.lastIndex }, createdMs),
          gap: undefined,
          places: [],
        }));
        responses = { createdMs, parts };
      }
      return responses.parts;
    },
    joined: (entries, createdMs) => {
      const key = `${entries[0]?.seq} ${seq} ${createdMs}`;
      const known = joints.get(key);
      if (known !== undefined) return known;
      const response = joinResults(entries, createdMs);
      joints.set(key, response);
      for (const oldest of joints.keys()) {
        if (joints.size <= jointsMax) break;
        joints.delete(oldest);
      }
      return response;
    },
    shrink: () => {
      decoded = undefined;
      responses = undefined;
    },
  };
}

/** The wanted messages of several results in a row as one response. */
export function joinResults(
  entries: readonly ResultEntry[],
  createdMs: number,
  isWanted: (message: Message) => boolean = () => true,
): SubscribeResponse {
  const told = entries.map((entry) => ({ seq: entry.seq, messages: entry.messages().filter(isWanted) }));
  const places = told.map(({ seq, messages }) => ({
    messages: messages.length,
    resumeToken: formatToken({ seq, index: "end" }, createdMs),
  }));
  return {
    messages: told.flatMap(({ messages }) => messages),
    resumeToken: places.at(-1)?.resumeToken ?? "",
    gap: undefined,
    places,
  };
}
