import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { createMetrics } from "@millrace/runtime";
import { createWaitingGauge, waitedFor } from "./waiting-gauge.js";

test("deliveries are counted by what they wait for, each once, until they wait no more", async () => {
  const metrics = createMetrics("privacy", "0");
  const gauge = createWaitingGauge(metrics, "privacy-batch");
  const full = waitedFor(new CodedError("resource_exhausted", "full", { subject: "bus:clean" }));
  const away = waitedFor(new CodedError("unavailable", "away"));
  const shown = async (what: string): Promise<string | undefined> => {
    const line = new RegExp(`waiting\\{waiter="privacy-batch",for="${what}".*\\} (\\d+)`);
    return line.exec(await metrics.text())?.[1];
  };
  gauge.move(undefined, full);
  gauge.move(undefined, full);
  gauge.move(full, full);
  assert.deepEqual([await shown("bus:clean"), await shown("unavailable")], ["2", undefined]);
  gauge.move(full, away);
  assert.deepEqual([await shown("bus:clean"), await shown("unavailable")], ["1", "1"]);
  gauge.move(full, undefined);
  gauge.move(away, undefined);
  assert.deepEqual([await shown("bus:clean"), await shown("unavailable")], ["0", "0"]);
});
