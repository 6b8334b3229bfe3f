import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "@millrace/runtime";
import { createFakeClock } from "@millrace/runtime/testing";
import type { ProxySettings } from "./proxy-settings.js";
import { createSettingsSource } from "./settings-source.js";

test("settings are unknown until the first time, changes are told, an outage changes nothing", async () => {
  const clock = createFakeClock();
  const changes: string[] = [];
  let ca: string | undefined;
  const source = createSettingsSource({
    clock,
    log: silentLogger,
    onChange: (settings: ProxySettings) => changes.push(settings.ca),
    read: async () => {
      if (ca === undefined) throw new Error("no answer");
      return { "requestheader-client-ca-file": ca, "requestheader-username-headers": '["X-Remote-User"]' };
    },
  });
  await source.start?.();
  await clock.advance(500);
  assert.throws(() => source.current(), /nobody can be known yet: .*no answer/);
  assert.match(source.health?.() ?? "", /no answer/);
  ca = "one";
  await clock.advance(1_000);
  assert.equal(source.current().ca, "one");
  assert.equal(source.health?.(), undefined);
  await clock.advance(30_000);
  ca = undefined;
  await clock.advance(10_000);
  assert.equal(source.current().ca, "one");
  ca = "two";
  await clock.advance(1_000);
  assert.deepEqual(changes, ["one", "two"]);
  await source.stop?.(new AbortController().signal);
});
