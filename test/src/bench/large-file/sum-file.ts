/**
 * A process of its own, so that its memory is only that of going through the file: prints what it took as one
 * line of JSON. Its argument is a SumRequest.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { MmapOptions } from "@millrace/sdk";
import type { PartRequest } from "./sum-part.js";

export interface SumRequest {
  path: string;
  bytes: number;
  chunkBytes: number;
  threads: number;
  options: MmapOptions;
}

export interface SumAnswer {
  seconds: number;
  userSeconds: number;
  /** Page faults, or the copies of plain reads. */
  kernelSeconds: number;
  /** Most of the anonymous memory beyond what the threads had before they began, in MB. */
  rssAnonGrowthMb: number;
  dataPath: string;
  /** Of each chunk, in order. */
  sums: number[];
}

/** More often than a chunk is gone through. */
const sampleMs = 5;

function anonymousMb(): number {
  const kb = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return (Number(kb ?? 0) * 1024) / 1e6;
}

/** Consecutive parts, each a whole number of chunks. */
function partsOf({ path, bytes, chunkBytes, threads, options }: SumRequest): PartRequest[] {
  const chunks = Math.ceil(bytes / chunkBytes);
  return Array.from({ length: threads }, (_, at) => {
    const offset = Math.floor((chunks * at) / threads) * chunkBytes;
    const end = Math.min(bytes, Math.floor((chunks * (at + 1)) / threads) * chunkBytes);
    return { path, options, chunkBytes, offset, length: end - offset };
  });
}

async function sumFile(request: SumRequest): Promise<SumAnswer> {
  const url = new URL("./sum-part.js", import.meta.url);
  const workers = partsOf(request).map((workerData) => new Worker(url, { workerData }));
  const [dataPath = ""] = await Promise.all(
    workers.map(async (worker) => String((await once(worker, "message"))[0])),
  );
  const before = anonymousMb();
  let most = before;
  const sampling = setInterval(() => (most = Math.max(most, anonymousMb())), sampleMs);
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const summing = workers.map(async (worker) => (await once(worker, "message"))[0] as number[]);
  for (const worker of workers) worker.postMessage("go");
  const sums = (await Promise.all(summing)).flat();
  const seconds = (performance.now() - begun) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(sampling);
  most = Math.max(most, anonymousMb());
  const used = { userSeconds: user / 1e6, kernelSeconds: system / 1e6 };
  return { seconds, ...used, rssAnonGrowthMb: most - before, dataPath, sums };
}

const request = JSON.parse(process.argv[2] ?? "{}") as SumRequest;
process.stdout.write(`${JSON.stringify(await sumFile(request))}\n`);
