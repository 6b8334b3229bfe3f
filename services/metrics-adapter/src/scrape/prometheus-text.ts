/** One line of Prometheus' text format. */
export interface SampleLine {
  labels: Readonly<Record<string, string>>;
  value: number;
}

const line = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const label = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The lines of one metric. */
export function findSamples(text: string, name: string): SampleLine[] {
  return text.split("\n").flatMap((each) => {
    if (!each.startsWith(name)) return [];
    const [, found, labels = "", value = ""] = line.exec(each.trim()) ?? [];
    if (found !== name) return [];
    const number = value === "+Inf" ? Infinity : Number(value);
    if (Number.isNaN(number)) return [];
    return [{ labels: labelsOf(labels), value: number }];
  });
}

function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(label)].map(([, name = "", value = ""]): [string, string] => [name, unescaped(value)]),
  );
}

const unescaped = (value: string): string =>
  value.replaceAll(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
