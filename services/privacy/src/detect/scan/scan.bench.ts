import { policyDetectors, defaultPolicy } from "../../policy/default-policy.js";
import { redactBody } from "../../redact/redact-body.js";
import { createScanner } from "./scanner.js";

/**
 * How fast one core scans and redacts: `node dist/detect/scan/scan.bench.js`. Seeded JSON lines of 1 KiB
 * with a 13-digit timestamp each, personal data in a share of them, in bodies of 1 MiB as batches have.
 */
const lineBytes = 1024;
const linesPerBody = 1024;
const bodies = 8;
const measuredMs = 1_500;

const vocabulary = (
  "stream order account status pending message channel value delta region update please thanks shipping " +
  "invoice total"
).split(" ");

/** A linear congruential generator (Numerical Recipes), so that each run has the same lines. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 0x1_0000_0000;
  };
}

const planted: ReadonlyArray<(n: number) => string> = [
  (n) => `anna.meyer${n}@example.com`,
  () => "4111 1111 1111 1111",
  (n) => `+49 30 12${String(n % 100_000).padStart(5, "0")}`,
  () => "DE89 3704 0044 0532 0130 00",
  (n) => `10.20.${n % 250}.17`,
];

function createBody(share: number, random: () => number): Uint8Array {
  const lines: string[] = [];
  for (let id = 0; id < linesPerBody; id++) {
    let text = "";
    while (text.length < 900) {
      text += `${vocabulary[Math.floor(random() * vocabulary.length)] as string} `;
      if (random() < 0.05) text += `${Math.floor(random() * 10_000)} `;
    }
    const plant = planted[Math.floor(random() * planted.length)] as (n: number) => string;
    if (random() < share) text = `${text.slice(0, 400)} ${plant(id)} ${text.slice(400)}`;
    const line = JSON.stringify({
      id,
      ts: 1_763_842_000_000 + id,
      src: `sensor-${id % 50}`,
      text: text.slice(0, 930),
    });
    lines.push(line.padEnd(lineBytes - 1, " "));
  }
  return new TextEncoder().encode(`${lines.join("\n")}\n`);
}

const scanner = createScanner({ detectors: policyDetectors(defaultPolicy) });
const boundaries = { lengths: new Uint32Array(linesPerBody).fill(lineBytes - 1), gapBytes: 1 } as const;
const output = new Uint8Array(2 * lineBytes * linesPerBody);

function measure(name: string, work: (body: Uint8Array) => number, input: readonly Uint8Array[]): void {
  let found = 0;
  for (const body of input) found += work(body);
  const begin = performance.now();
  const beginCpu = process.cpuUsage();
  let bytes = 0;
  while (performance.now() - begin < measuredMs) {
    for (const body of input) {
      work(body);
      bytes += body.length;
    }
  }
  const cpu = process.cpuUsage(beginCpu);
  const cpuSeconds = (cpu.user + cpu.system) / 1e6;
  const wall = (bytes / 1e3 / (performance.now() - begin)).toFixed(0);
  const line = { name, mb_per_s: Number(wall), mb_per_cpu_s: Math.round(bytes / 1e6 / cpuSeconds), found };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

for (const share of [0.05, 0.5]) {
  const random = createRandom(7);
  const input = Array.from({ length: bodies }, () => createBody(share, random));
  const percent = `${share * 100} %`;
  measure(`scan ${percent}`, (body) => scanner.scan(body, boundaries).count, input);
  measure(
    `scan and redact ${percent}`,
    (body) => redactBody(body, scanner.scan(body, boundaries), { ...boundaries, output }).rows.length,
    input,
  );
}
