/** @param {string} line progress goes to stderr; stdout is for results */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * @template T
 * @param {string} what in the infinitive: "install packages"
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function timed(what, work) {
  const started = performance.now();
  const result = await work();
  say(`set-up: ${what}: ${seconds(performance.now() - started)}`);
  return result;
}

/** @param {number} ms */
export function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** What a person can do something about: told in a sentence, without a stack. */
export class SetupError extends Error {}

/** @param {() => Promise<number | void>} main its result, where it has one, is the exit code */
export async function runMain(main) {
  try {
    const code = await main();
    if (code !== undefined) process.exitCode = code;
  } catch (error) {
    const known = error instanceof SetupError;
    say(known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = 1;
  }
}
