import { CodedError } from "@millrace/errors";
import { renderPlain } from "../logs/render-line.js";

/** Node's, Go's and our own words for an address that somebody else listens on; the group is the port. */
const portInUse = [
  /EADDRINUSE\S*.*?:(\d{1,5})\b/,
  /:(\d{1,5}): bind: address already in use/,
  /port (\d{1,5}) is in use/,
];

/** A start that failed, with what the program itself said last. */
export function startError(name: string, what: string, lastLines: string[]): CodedError {
  const port = firstPort(lastLines);
  if (port !== undefined) return portError(name, port);
  const said = lastLines.map((line) => `\n    ${renderPlain(line)}`).join("");
  const tail = said === "" ? ", without a word" : `. Its last lines:${said}\n`;
  return new CodedError("unavailable", `start ${name}: ${what}${tail}`);
}

export function portError(name: string, port: number): CodedError {
  return new CodedError("failed_precondition", `start ${name}: port ${port} is in use by another process`, {
    field: `${name} port`,
    remedy: `Stop what listens there (lsof -i :${port} names it), or set another port.`,
  });
}

function firstPort(lines: string[]): number | undefined {
  for (const line of lines) {
    for (const pattern of portInUse) {
      const port = pattern.exec(line)?.[1];
      if (port !== undefined) return Number(port);
    }
  }
  return undefined;
}
