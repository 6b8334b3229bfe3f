import type { Canary } from "./canaries.js";

/** Something that may hold what it should not. */
export interface Place {
  name: string;
  bytes: Uint8Array;
}

export interface Leak {
  canary: Canary;
  /** Where it was found. */
  place: string;
  /** As what: a needle, or a needle's encoding. */
  as: string;
}

/** Looks for each canary in each place, as it is and as base64 and hex show it. */
export function findLeaks(canaries: readonly Canary[], places: readonly Place[]): Leak[] {
  const wanted = canaries.flatMap((canary) => canary.needles.flatMap((needle) => encodings(canary, needle)));
  const leaks: Leak[] = [];
  for (const { name, bytes } of places) {
    // The name counts too: a file may be called after a person.
    const hay = Buffer.concat([Buffer.from(`${name}\n`), withoutZeros(bytes)]);
    for (const { canary, as, sought } of wanted) {
      if (hay.includes(sought)) leaks.push({ canary, place: name, as });
    }
  }
  return leaks;
}

/** One line each, for an assertion. */
export function describeLeaks(leaks: readonly Leak[]): string[] {
  return leaks.map(({ canary, place, as }) => `${canary.type} of ${canary.place} is in ${place} as ${as}`);
}

interface Sought {
  canary: Canary;
  as: string;
  sought: Buffer;
}

function encodings(canary: Canary, needle: string): Sought[] {
  const plain = Buffer.from(needle);
  const inBase64 = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), plain]).toString("base64url");
    // The first and last sign hold bits of what stands around it.
    return { canary, as: "base64", sought: Buffer.from(text.slice(before === 0 ? 0 : before + 1, -2)) };
  });
  const hex = plain.toString("hex");
  return [
    { canary, as: needle, sought: plain },
    ...inBase64.filter(({ sought }) => sought.length >= 8),
    { canary, as: "hex", sought: Buffer.from(hex) },
  ];
}

/** Segments are allocated whole; what was not written yet is zeros. */
function withoutZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, end);
}
