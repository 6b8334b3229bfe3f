import { CodedError } from "@millrace/errors";
import type {
  AnonymizeTextRequest,
  AnonymizeTextResponse,
  DetectTextRequest,
  DetectTextResponse,
} from "@millrace/proto/privacy";
import type { CleanedBody } from "@millrace/proto/work";
import type { UnaryCall } from "../../rpc/unary-call.js";

export interface TextParts {
  /** Asks privacy, every detector on. */
  cleanBody(body: Uint8Array, timeoutMs: number): Promise<CleanedBody>;
}

/** Request and answer are messages of the bus, of 1 MiB at most, and the answer may be the longer one. */
const textBytesMax = 512 * 1024;

export const detectText =
  (parts: TextParts) =>
  async ({ text }: DetectTextRequest, call: UnaryCall): Promise<DetectTextResponse> => {
    const { places } = await clean(parts, text, call);
    return {
      findings: places.map(({ type, givenStart, givenLength }) => ({
        type,
        place: "body",
        start: givenStart,
        length: givenLength,
        box: undefined,
      })),
    };
  };

export const anonymizeText =
  (parts: TextParts) =>
  async ({ text }: AnonymizeTextRequest, call: UnaryCall): Promise<AnonymizeTextResponse> => {
    const { body, places } = await clean(parts, text, call);
    const findings = places.map(({ type, start, length }) => ({
      type,
      place: "body",
      start,
      length,
      box: undefined,
    }));
    return { text: Buffer.from(body).toString("utf8"), findings };
  };

/** Errors: `invalid_argument`, which repeats nothing of the text. */
async function clean({ cleanBody }: TextParts, text: string, call: UnaryCall): Promise<CleanedBody> {
  const body = Buffer.from(text);
  if (body.length > textBytesMax) {
    throw new CodedError("invalid_argument", `clean a text: it has ${body.length} bytes`, {
      field: "text",
      remedy: `Use at most ${textBytesMax} bytes.`,
    });
  }
  return cleanBody(body, call.remainingMs());
}
