import { BinaryReader } from "@bufbuild/protobuf/wire";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * For `decode` of the generated types where bytes come from outside: a string that is no UTF-8 throws, as
 * proto3 asks for. Their own reader puts U+FFFD in its place, so that a message would be changed before
 * anybody looked at it.
 */
export function strictReader(bytes: Uint8Array): BinaryReader {
  return new BinaryReader(bytes, (text) => utf8.decode(text));
}
