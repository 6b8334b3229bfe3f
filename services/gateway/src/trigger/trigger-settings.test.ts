import assert from "node:assert/strict";
import test from "node:test";
import { hiddenText } from "@millrace/proto";
import { Trigger } from "@millrace/proto/trigger";
import { keepHidden } from "./trigger-settings.js";

const webhook = (url: string, text: string): Trigger =>
  Trigger.fromPartial({
    id: "hook",
    action: {
      $case: "webhook",
      value: { url, headers: { authorization: { kind: { $case: "text", value: text } } } },
    },
  });
const headerOf = ({ action }: Trigger): unknown =>
  action?.$case === "webhook" ? action.value.headers["authorization"]?.kind?.value : undefined;

test("a hidden header is kept as long as it goes where it went", () => {
  const before = webhook("https://hooks.example.com/a", "Bearer one");
  const moved = keepHidden(webhook("https://hooks.example.com/b", hiddenText), before);
  assert.equal(headerOf(moved), "Bearer one");
  for (const url of ["https://elsewhere.example.com/a", "https://hooks.example.com:8443/a"]) {
    assert.throws(() => keepHidden(webhook(url, hiddenText), before), {
      code: "invalid_argument",
      field: "trigger.webhook.headers",
    });
  }
  assert.throws(() => keepHidden(webhook("https://hooks.example.com/a", hiddenText), undefined), /headers/);
});
