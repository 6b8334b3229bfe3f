/**
 * Runs what it is given one after the other, in the order of the calls; a failure does not stop the next one.
 * `next` goes before all that waits: for short work that others wait for.
 */
export type Serial = <T>(work: () => Promise<T>, order?: "last" | "next") => Promise<T>;

export function createSerial(): Serial {
  const waiting: (() => Promise<void>)[] = [];
  let isRunning = false;

  const run = async (): Promise<void> => {
    isRunning = true;
    for (let work = waiting.shift(); work !== undefined; work = waiting.shift()) await work();
    isRunning = false;
  };

  return (work, order = "last") =>
    new Promise((resolve, reject) => {
      const settle = (): Promise<void> => work().then(resolve, reject);
      if (order === "next") waiting.unshift(settle);
      else waiting.push(settle);
      if (!isRunning) void run();
    });
}
