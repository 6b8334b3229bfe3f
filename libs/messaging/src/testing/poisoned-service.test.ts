import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { idText } from "@millrace/envelope";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { Batch, DeadLetter } from "@millrace/proto/batch";
import { systemClock } from "@millrace/runtime";
import { eventually } from "@millrace/runtime/testing";
import { createPublisher, type Publisher } from "../delivery/publisher.js";
import { natsWorkbench } from "./workbench.js";

const bench = natsWorkbench();
const program = fileURLToPath(new URL("./poisoned-service.js", import.meta.url));
const running = new Set<Supervised>();

interface Supervised {
  pid(): number;
  starts(): number;
  text(): string;
  stop(): void;
}

/** Starts it anew whenever it ends, as the supervisor and Kubernetes do. */
function supervise(kind = ""): Supervised {
  let child: ChildProcess;
  let starts = 0;
  let stopped = false;
  let text = "";
  const start = (): void => {
    starts += 1;
    child = spawn(process.execPath, [program, bench.nats().url, bench.nats().keysDir, kind], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout?.on("data", (piece) => (text += String(piece)));
    child.on("exit", () => stopped || start());
  };
  start();
  const supervised = {
    pid: () => child.pid ?? 0,
    starts: () => starts,
    text: () => text,
    stop: () => {
      stopped = true;
      running.delete(supervised);
      child.kill("SIGKILL");
    },
  };
  running.add(supervised);
  return supervised;
}

let next = 0;
let connected: Promise<Publisher> | undefined;
async function publish(texts: readonly string[], partition = "any"): Promise<void> {
  const batch = buildBatch({ texts, from: (next += 1_000) });
  connected ??= bench.connect("buffer").then(createPublisher);
  const publisher = await connected;
  const data = Batch.encode(inlineBatch(batch)).finish();
  await publisher.publish({ subject: `raw.batch.${partition}.default.s`, data, id: idText(batch.header.id) });
}

/** 25 batches of 20 messages a second, however many of them are settled. */
function offerSteadily(): { offered(): number; stop(): Promise<void> } {
  let offered = 0;
  let stopped = false;
  const offering = (async () => {
    for (; !stopped; offered++) {
      await publish(Array.from({ length: 20 }, (_, row) => `good ${offered}/${row};`));
      await systemClock.sleep(40);
    }
  })();
  // Whoever ends before it is stopped is not ended by it.
  offering.catch(() => undefined);
  return {
    offered: () => offered,
    stop: () => {
      stopped = true;
      return offering;
    },
  };
}

const stored = async (name: string): Promise<number> =>
  (await bench.admin().manager.streams.info(name)).state.messages;

async function bodies(name: string): Promise<Uint8Array[]> {
  const { state } = await bench.admin().manager.streams.info(name);
  const found: Uint8Array[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await bench.admin().manager.streams.getMessage(name, { seq });
    if (message !== null) found.push(message.data);
  }
  return found;
}

function textAndReason({ batch, reason }: DeadLetter): string {
  const body = batch?.body?.$case === "inline" ? Buffer.from(batch.body.value).toString() : "";
  return `${body}: ${reason}`;
}

beforeEach(async () => {
  for (const name of ["RAW", "CLEAN", "DLQ_RAW"]) await bench.admin().manager.streams.purge(name);
});
afterEach(() => {
  for (const supervised of running) supervised.stop();
});

test("messages that throw, hang or kill are dead-lettered alone, once, and all others pass", async (t) => {
  const began = performance.now();
  const load = offerSteadily();
  for (const poison of ["throws", "loops", "killed"]) await publish(["good x/1;", poison, "good x/2;"]);
  const service = supervise();
  const share = async (): Promise<number> => 1 - (await stored("RAW")) / load.offered();
  try {
    const what = "all poison is dead-lettered";
    await eventually(async () => (await stored("DLQ_RAW")) >= 3, { what, deadlineMs: 180_000 });
    const settled = await share();
    t.diagnostic(`with poison among ${load.offered()} batches, ${(settled * 100).toFixed(1)} % were settled`);
    assert.ok(load.offered() > 100, `${load.offered()} batches were offered`);
    assert.ok(settled >= 0.9, `${Math.round(settled * 100)} % were settled meanwhile`);
    // A stage that stands still falls below it: the count can see one.
    process.kill(service.pid(), "SIGSTOP");
    await eventually(async () => (await share()) < 0.9, { what: "the share falls", deadlineMs: 60_000 });
    process.kill(service.pid(), "SIGCONT");
  } finally {
    await load.stop();
  }
  await eventually(async () => (await stored("RAW")) === 0, { what: "RAW is settled", deadlineMs: 60_000 });
  const letters = (await bodies("DLQ_RAW")).map((data) => DeadLetter.decode(data));
  assert.deepEqual(letters.map(textAndReason).sort(), [
    "killed: try batch: it ended the process (SIGKILL)",
    "loops: try batch: no end within 3000 ms",
    "throws: unexpected TypeError",
  ]);
  const out = Buffer.concat(await bodies("CLEAN")).toString();
  const passed = new Set(out.match(/good [0-9]+\/[0-9]+;/g));
  assert.equal(passed.size, load.offered() * 20);
  assert.ok(out.split("good x").length - 1 >= 6, "the rest of the poisoned batches passed");
  assert.ok(service.starts() > 1 && service.starts() < 12, `started ${service.starts()} times`);
  assert.ok(performance.now() - began < 180_000);
});

test("a handler that awaits for ever ends its process, and its message alone is dead-lettered", async () => {
  await publish(["good x/1;", "awaits", "good x/2;"]);
  const service = supervise();
  for (let n = 0; n < 20; n++) await publish([`other ${n};`]);
  await eventually(async () => (await stored("DLQ_RAW")) >= 1, {
    what: "the message is dead-lettered",
    deadlineMs: 120_000,
  });
  await eventually(async () => (await stored("RAW")) === 0, { what: "RAW is settled", deadlineMs: 60_000 });
  const letters = (await bodies("DLQ_RAW")).map((data) => DeadLetter.decode(data));
  assert.deepEqual(letters.map(textAndReason), ["awaits: try batch: no end within 3000 ms"]);
  const out = Buffer.concat(await bodies("CLEAN")).toString();
  assert.equal(new Set(out.match(/other [0-9]+;/g)).size, 20);
  assert.deepEqual(new Set(out.match(/good x\/[12];/g)), new Set(["good x/1;", "good x/2;"]));
  // A machine that stands still may take one of the two attempts: those are counted, not the ended processes.
  assert.ok(service.starts() >= 2, `its process was ended before the trial: ${service.starts()} starts`);
});

test("while a batch is on trial, the stage settles all the others", async () => {
  // Each of them takes the budget of 3 s, so the trial outlasts the test.
  await publish(Array.from({ length: 16 }, () => "loops"));
  const service = supervise();
  await eventually(() => service.text().includes("trying a batch alone"), {
    what: "the trial begins",
    deadlineMs: 120_000,
  });
  for (let n = 0; n < 300; n++) await publish([`other ${n}`]);
  await eventually(async () => (await stored("CLEAN")) === 300, { what: "the others are settled" });
  await eventually(async () => (await stored("RAW")) === 1, { what: "only the batch on trial is left" });
  assert.equal(await stored("DLQ_RAW"), 0, "it is on trial still");
});

test("a worker that stood still past its lease publishes nothing, and blames nobody", async () => {
  const paused = supervise();
  await publish(["slow"]);
  await eventually(() => paused.text().includes("begun"), { what: "the work has begun" });
  process.kill(paused.pid(), "SIGSTOP");
  const other = supervise();
  await eventually(async () => (await stored("RAW")) === 0, { what: "another did it", deadlineMs: 60_000 });
  assert.equal(await stored("CLEAN"), 1);
  process.kill(paused.pid(), "SIGCONT");
  await eventually(() => paused.text().includes("paused past the lease"), { what: "it noticed" });
  assert.ok(other.text().includes("begun"));
  assert.deepEqual([await stored("CLEAN"), await stored("DLQ_RAW"), paused.starts()], [1, 0, 1]);
  // It is well again.
  other.stop();
  await publish(["next"]);
  await eventually(async () => (await stored("CLEAN")) === 2, { what: "the next batch" });
});

test("what reached the reader of a partition while it stood still is dropped by it", async () => {
  const paused = supervise("ordered");
  await publish(["first"], "p00");
  await eventually(async () => (await stored("CLEAN")) === 1, { what: "it reads", deadlineMs: 60_000 });
  // Stopped before it is settled, the first one would be done again as well.
  await eventually(async () => (await stored("RAW")) === 0, { what: "it settles" });
  process.kill(paused.pid(), "SIGSTOP");
  await publish(["second"], "p00");
  const inHand = async (): Promise<number> =>
    (await bench.admin().manager.consumers.info("RAW", "privacy-p00")).num_ack_pending;
  await eventually(async () => (await inHand()) === 1, { what: "the next one lies in its socket" });
  const other = supervise("ordered");
  await eventually(async () => (await stored("RAW")) === 0, { what: "another did it", deadlineMs: 90_000 });
  assert.equal(await stored("CLEAN"), 2);
  process.kill(paused.pid(), "SIGCONT");
  await eventually(() => paused.text().includes("paused past the lease"), { what: "it noticed" });
  assert.deepEqual([await stored("CLEAN"), await stored("DLQ_RAW"), paused.starts()], [2, 0, 1]);
  assert.ok(other.text().includes("begun"));
});
