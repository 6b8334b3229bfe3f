/** What `--json` prints as its last line. */
export interface DemoSummary {
  ok: boolean;
  /** From the first message to the last result. */
  seconds: number;
  streams: {
    name: string;
    in: number;
    out: number;
    dead: number;
    dropped: number;
    in_flight: number;
  }[];
  mb_per_s: number;
  /** Of messages published over gRPC, from acceptance to the subscriber, with all analyses. */
  latency_ms: { p50: number; p99: number };
  findings: Record<string, number>;
  searches: { query: string; hits: { id: string; score: number; text: string }[]; ms: number }[];
  models: { name: string; sha256: string }[];
}

/** What a person reads on top of it. */
export interface DemoReport {
  summary: DemoSummary;
  /** Sentences that say why `ok` is false. */
  problems: string[];
  planted: { planted: number; found: number };
  stages: { stage: string; messages: number }[];
  sample: { before: string; after: string } | undefined;
  answers: boolean[];
}

export function renderReport(report: DemoReport): string[] {
  const { summary, planted } = report;
  const lines = ["", "Millrace main job"];
  for (const { name, in: came, out, dead, dropped, in_flight } of summary.streams) {
    const balanced = came === out + dead + dropped + in_flight ? "balanced" : "NOT BALANCED";
    lines.push(
      `  ${name}: in ${came} = out ${out} + dead ${dead} + dropped ${dropped} + in flight ${in_flight}` +
        `  (${balanced})`,
    );
  }
  lines.push(`  stages:   ${report.stages.map(({ stage, messages }) => `${stage} ${messages}`).join("   ")}`);
  lines.push(`  rate:     ${summary.mb_per_s} MB/s of text in ${summary.seconds} s, models included`);
  lines.push(
    `  latency:  p50 ${summary.latency_ms.p50} ms, p99 ${summary.latency_ms.p99} ms ` +
      "(published to subscriber, analysed)",
  );
  const types = Object.entries(summary.findings).map(([type, count]) => `${type} ${count}`);
  lines.push(`  findings: ${types.join(", ")}`);
  lines.push(`  planted:  ${planted.found} of ${planted.planted} found and replaced`);
  if (report.sample !== undefined) {
    lines.push(`  before:   ${report.sample.before}`, `  after:    ${report.sample.after}`);
  }
  summary.searches.forEach(({ query, hits, ms }, at) => {
    const answer = report.answers[at] === true ? "in the top 3" : "MISSED";
    lines.push(`  search:   "${query}"  (${ms} ms, known answer ${answer})`);
    for (const hit of hits) lines.push(`            ${hit.score.toFixed(3)}  ${hit.text.slice(0, 90)}`);
  });
  for (const model of summary.models)
    lines.push(`  model:    ${model.name} (sha256 ${model.sha256.slice(0, 16)}…)`);
  for (const problem of report.problems) lines.push(`  PROBLEM:  ${problem}`);
  return lines;
}

/** The value below which a share of the numbers lies, by nearest rank; 0 of none. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
