import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { CodedError } from "@millrace/errors";
import { Event } from "@millrace/proto/event";
import { Trigger } from "@millrace/proto/trigger";
import { createEgress, createSecrets } from "@millrace/runtime";
import { createAuthority } from "@millrace/runtime/testing";
import type { ActionOutcome } from "../action.js";
import { createAction } from "../actions.js";
import { webhookHeaders } from "./sign-webhook.js";

test("signatures are those of the Standard Webhooks specification, one a secret", () => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const of = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", seconds: 1_614_265_330, body: '{"test": 2432232314}' };
  const expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
  assert.equal(webhookHeaders([secret], of)["webhook-signature"], expected);
  const both = webhookHeaders([secret.slice(6), `${"b".repeat(43)}=`], of)["webhook-signature"];
  assert.match(both ?? "", new RegExp(`^${expected.replaceAll(/[+/]/g, "\\$&")} v1,`));
  assert.notEqual(
    webhookHeaders([secret], { ...of, body: '{"test":2432232314}' })["webhook-signature"],
    expected,
  );
  assert.equal(webhookHeaders([], of)["webhook-signature"], undefined);
  for (const bad of ["short", "whsec_", "not base64 at all, though it is long enough"]) {
    assert.throws(
      () => webhookHeaders([bad], of),
      (error: CodedError) => {
        assert.equal(error.field, "webhook.secrets");
        return bad === "whsec_" || !String(error).includes(bad);
      },
    );
  }
});

const limits = { connectMs: 1_000, totalMs: 400, replyBytesMax: 1_024 };
const event = Event.fromPartial({ id: "e".repeat(32), type: "backpressure", stream: "s", timeMs: 1 });

async function listening(t: TestContext, server: Server, scheme = "http"): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=k3y`;
}

async function post(url: string, allow = ["127.0.0.1"], caFile?: string): Promise<ActionOutcome> {
  const act = createAction({
    egress: createEgress({ allow, caFile }),
    secrets: createSecrets({ dir: undefined }),
    now: () => 1_700_000_000_000,
    publishNotice: async () => assert.fail("a webhook publishes nothing"),
    noticeSubject: () => "",
    kafka: { use: async () => assert.fail("a webhook sends no record") },
    anonymize: async () => assert.fail("a webhook cleans nothing"),
    registry: { find: async () => undefined },
    tellEvent: async () => assert.fail("a webhook tells no event"),
    limits,
  });
  const trigger = Trigger.fromPartial({ action: { $case: "webhook", value: { url } } });
  const signal = new AbortController().signal;
  return act({ tenant: "default", trigger, event, deliveryId: "d1", signal });
}

const replies: [string, RequestListener, ActionOutcome][] = [
  ["2xx", (_, reply) => reply.writeHead(204).end(), { kind: "done" }],
  [
    "2xx whose body is without end",
    (_, reply) => {
      const more = (): void => void (reply.destroyed || reply.write("x".repeat(4_096), more));
      reply.writeHead(200);
      more();
    },
    { kind: "done" },
  ],
  [
    "5xx",
    (_, reply) => reply.writeHead(500).end("boom"),
    { kind: "failed", reason: "the target answered 500" },
  ],
  [
    "429 with a wait",
    (_, reply) => reply.writeHead(429, { "retry-after": "7" }).end(),
    { kind: "failed", reason: "the target answered 429", retryAfterMs: 7_000 },
  ],
  [
    "a redirect, which is not followed",
    ({ url }, reply) => reply.writeHead(url === "/other" ? 200 : 302, { location: "/other" }).end(),
    { kind: "failed", reason: "the target answered 302, and no redirect is followed" },
  ],
  ["410", (_, reply) => reply.writeHead(410).end(), { kind: "gone", reason: "the target answered 410" }],
  ["no answer", () => undefined, { kind: "failed", reason: "no answer within the time allowed" }],
  [
    "a head that drips",
    ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\nX-");
      const drip = setInterval(() => socket.write("H"), 50);
      socket.once("close", () => clearInterval(drip));
    },
    { kind: "failed", reason: "no answer within the time allowed" },
  ],
  ["a reset", ({ socket }) => socket.resetAndDestroy(), { kind: "failed", reason: "no answer: ECONNRESET" }],
];
for (const [what, listener, expected] of replies) {
  test(`a webhook's reply: ${what}`, async (t) => {
    assert.deepEqual(await post(await listening(t, createServer(listener))), expected);
  });
}

test("a certificate is trusted where the public CAs or the operator's vouch for it", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "webhook-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const authority = await createAuthority(dir);
  const { certFile, keyFile } = await authority.issue("hook", { dns: ["localhost"] });
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  const url = await listening(
    t,
    createTlsServer({ cert, key }, (_, reply) => reply.end()),
    "https",
  );
  const outcome = await post(url);
  assert.match(outcome.kind === "failed" ? outcome.reason : "", /^no answer: (UNABLE_TO_|SELF_SIGNED)/);
  const named = url.replace("127.0.0.1", "localhost");
  assert.deepEqual(await post(named, ["localhost"], authority.caFile), { kind: "done" });
});

test("what is not public, or not over TLS, is not reached, and the refusal tells no URL", async (t) => {
  let reached = 0;
  const url = await listening(
    t,
    createServer((_, reply) => reply.end(String(reached++))),
  );
  for (const target of [url, url.replace("127.0.0.1", "[::ffff:127.0.0.1]"), "https://169.254.169.254/a"]) {
    await assert.rejects(post(target, []), (error: CodedError) => {
      assert.equal(error.code, "permission_denied");
      assert.doesNotMatch(error.toString(), /k3y/);
      return true;
    });
  }
  assert.equal(reached, 0);
});
