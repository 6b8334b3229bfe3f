/**
 * The commands that a release's notes print, in their order: indented, and begun by a program that notes use.
 * Lines that end with a backslash go on.
 */
export function commandsOf(notes: string): string[] {
  const joined = notes.replaceAll(/\\\n\s*/g, "");
  return joined
    .split("\n")
    .filter((line) => /^\s{2,}\S/.test(line))
    .map((line) => line.trim().replace(/^or\b[^:]*:\s+/, ""))
    .filter((line) => /^(kubectl|npx|export|grpcurl|helm|node)\b/.test(line) || /^\w+=\S/.test(line));
}

/** Programs that the commands need, beside what every checkout has. */
export function programsOf(commands: readonly string[]): string[] {
  return [...new Set(commands.map((command) => /^(grpcurl|helm)\b/.exec(command)?.[1] ?? "kubectl"))];
}

/**
 * A shell script that does what a person does with them: ports stay forwarded meanwhile, results are followed
 * for a while, and who searches a moment too early searches again. It fails where a command fails or says
 * nothing.
 */
export function scriptOf(commands: readonly string[]): string {
  return [preamble, ...commands.map(lineOf)].join("\n");
}

const preamble = `set -e
# In a folder that goes: they write the CA there.
checkout="$PWD"
export checkout
npx() { (cd "$checkout" && command npx "$@"); }
export -f npx
scratch="$(mktemp -d)"
cd "$scratch"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT
speaks() {
  for _ in $(seq 30); do
    out="$(timeout 20 bash -c "$1" || true)"
    if [ -n "$out" ]; then printf '%s\\n' "$out"; return 0; fi
    sleep 1
  done
  echo "it said nothing: $1" >&2
  return 1
}
opens() {
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
    sleep 0.2
  done
  echo "port $1 does not open" >&2
  return 1
}`;

function lineOf(command: string): string {
  if (/\bport-forward\b/.test(command)) {
    const port = / (\d+):\d+/.exec(command)?.[1] ?? "7070";
    return `${command.replace(/\s*&$/, "")} >/dev/null &\nopens ${port}`;
  }
  if (/\b(subscribe|search)\b/i.test(command)) return `speaks '${command.replaceAll("'", `'\\''`)}'`;
  // A variable that the later commands' shells need too.
  return /^\w+=\S/.test(command) ? `export ${command}` : command;
}
