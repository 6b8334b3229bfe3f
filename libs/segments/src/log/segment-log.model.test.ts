import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import fc from "fast-check";
import type { FramePlace } from "./frame-writer.js";
import { forgedFrames } from "../testing/forged-frames.js";
import { openSegmentLog, type SegmentLog } from "./segment-log.js";

const segmentBytes = 16 * 1024;
const options = { segmentBytes, liveBytesMax: 6 * segmentBytes };

type Step = { do: "append"; bytes: number } | { do: "release"; pick: number } | { do: "reopen" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("append" as const), bytes: fc.nat(9_000) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("release" as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);

const recoveredIds = (log: SegmentLog): string[] => log.recovered.map((frame) => frame.id).sort();

test("random appends, releases and reopenings keep exactly the frames that were not released", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const dir = mkdtempSync(join(tmpdir(), "millrace-model-"));
      const live = new Map<string, FramePlace>();
      const usedNumbers = new Map<number, number>();
      let log = await openSegmentLog({ dir, ...options });
      let count = 0;
      let life = 0;
      for (const next of steps) {
        if (next.do === "append") {
          const id = (++count).toString(16).padStart(32, "0");
          const body = count % 2 === 0 ? Buffer.alloc(next.bytes, count) : forgedFrames(next.bytes);
          const frame = { id, subject: "s", batch: Buffer.from(id), body };
          const place = await log.append(frame).catch((error: { code: string }) => {
            // Refused only when the live frames really take up all segments but one.
            assert.equal(error.code, "resource_exhausted");
            assert.ok(log.liveBytes() + segmentBytes > options.liveBytesMax);
            return undefined;
          });
          if (place === undefined) continue;
          live.set(id, place);
          // A segment is written in one life of the log only.
          assert.equal(usedNumbers.get(place.segment) ?? life, life);
          usedNumbers.set(place.segment, life);
        } else if (next.do === "release") {
          const ids = [...live.keys()];
          const id = ids[next.pick % Math.max(1, ids.length)];
          const place = id === undefined ? undefined : live.get(id);
          if (id === undefined || place === undefined) continue;
          live.delete(id);
          await log.release(place);
        } else {
          await log.close();
          life++;
          log = await openSegmentLog({ dir, ...options });
          assert.deepEqual(recoveredIds(log), [...live.keys()].sort());
          assert.equal(log.damaged, 0);
        }
      }
      await log.close();
      rmSync(dir, { recursive: true, force: true });
    }),
    { numRuns: 60 },
  );
});
