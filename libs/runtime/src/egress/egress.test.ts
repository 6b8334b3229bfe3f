import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { createServer } from "node:https";
import { request } from "node:https";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { type AddressInfo, isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { CodedError } from "@millrace/errors";
import { createAuthority } from "../testing/certificates.js";
import { createEgress, isAllowEntry } from "./egress.js";

const answers = (...addresses: string[]): Promise<LookupAddress[]> =>
  Promise.resolve(addresses.map((address) => ({ address, family: isIP(address) })));

const outcome = async (url: string, options: { allow?: string[]; addresses?: string[] } = {}) => {
  const { allow = [], addresses = ["93.184.216.34"] } = options;
  const egress = createEgress({ allow, resolveName: () => answers(...addresses) });
  return egress.resolve(url, "source.websocket.url").then(
    () => "ok",
    (error: CodedError) => {
      assert.ok(error instanceof CodedError && error.remedy !== undefined);
      assert.equal(error.field, "source.websocket.url");
      return error.code;
    },
  );
};

/** Hosts as they stand in URLs; none of them is a public one. */
const privateHosts = [
  ..."127.0.0.1 127.9.9.9 0.0.0.0 0.1.2.3 10.0.0.1 172.31.255.255 192.168.1.1 100.64.0.1".split(" "),
  ..."169.254.169.254 192.0.0.170 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1".split(" "),
  ..."240.0.0.1 255.255.255.255 2130706433 0x7f000001 0x7f.1 0177.0.0.1 127.1 １２７.0.0.1".split(" "),
  ..."[::] [::1] [::ffff:10.0.0.1] [::ffff:a00:1] [64:ff9b::10.0.0.1] [64:ff9b:1::1]".split(" "),
  ..."[fe80::1] [fc00::1] [fd00:ec2::254] [fec0::1] [ff02::1] [2001:db8::1] [2001::1]".split(" "),
  ..."[2002:a00:1::] [::10.0.0.1] [100::1] [3fff::1] [5f00::1]".split(" "),
];
for (const host of privateHosts) {
  test(`wss://${host} is refused, as a host and as an answer`, async () => {
    assert.equal(await outcome(`wss://${host}/`), "permission_denied");
    const { hostname } = new URL(`wss://${host}/`);
    const address = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
    const found = ["93.184.216.34", address];
    assert.equal(await outcome("https://feed.example", { addresses: found }), "permission_denied");
  });
}

const table: [string, string, { allow?: string[]; addresses?: string[] }, string][] = [
  ["a public host", "https://feed.example/a?b=1", {}, "ok"],
  ["a public host of both families", "wss://feed.example", { addresses: ["1.1.1.1", "2606:4700::1"] }, "ok"],
  ["a public host through NAT64", "wss://feed.example", { addresses: ["64:ff9b::101:101"] }, "ok"],
  ["a host without TLS", "ws://feed.example", {}, "permission_denied"],
  ["an allowed name without TLS", "ws://feed.local", { allow: ["feed.local"] }, "ok"],
  [
    "an allowed name that is private",
    "wss://Feed.local.",
    { allow: ["feed.local"], addresses: ["10.1.2.3"] },
    "ok",
  ],
  [
    "an allowed name that leads to the metadata service",
    "http://feed.local",
    { allow: ["feed.local"], addresses: ["169.254.169.254"] },
    "permission_denied",
  ],
  ["an allowed network", "https://feed.example", { allow: ["10.1.0.0/16"], addresses: ["10.1.2.3"] }, "ok"],
  ["an allowed network, mapped", "ws://[::ffff:10.1.2.3]", { allow: ["10.1.0.0/16"] }, "ok"],
  [
    "a network beside the allowed one",
    "https://feed.example",
    { allow: ["10.1.0.0/16"], addresses: ["10.1.2.3", "10.2.0.1"] },
    "permission_denied",
  ],
  ["an allowed address", "ws://127.0.0.1:8080", { allow: ["127.0.0.1"] }, "ok"],
  [
    "a public address beside an allowed one, without TLS",
    "ws://feed.example",
    { allow: ["10.0.0.0/8"], addresses: ["10.1.2.3", "1.1.1.1"] },
    "permission_denied",
  ],
  ["a name without an address", "wss://feed.example", { addresses: [] }, "unavailable"],
  ["another scheme", "file:///etc/passwd", {}, "invalid_argument"],
  ["credentials in the URL", "https://me:pw@feed.example", {}, "invalid_argument"],
  ["a fragment", "https://feed.example/#a", {}, "invalid_argument"],
  ["what is no URL", "feed.example", {}, "invalid_argument"],
  ["a URL without end", `https://feed.example/${"a".repeat(2_048)}`, {}, "invalid_argument"],
];
for (const [what, url, options, expected] of table) {
  test(`${what}: ${expected}`, async () => assert.equal(await outcome(url, options), expected));
}

test("a refusal tells neither the address nor the URL's path", async () => {
  const egress = createEgress({ allow: [], resolveName: () => answers("10.20.30.40") });
  await assert.rejects(egress.resolve("https://feed.example/key-123"), (error: CodedError) => {
    assert.doesNotMatch(error.toString(), /10\.20|key-123/);
    return true;
  });
});

test("the connection goes to the address that was checked, whatever the name says by then", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "egress-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const authority = await createAuthority(dir);
  const { certFile, keyFile } = await authority.issue("feed.example", { dns: ["feed.example"] });
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  const server = createServer({ cert, key }, (_, response) => response.end("here"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  let asked = 0;
  const resolveName = () => answers(asked++ === 0 ? "127.0.0.1" : "10.255.255.1");
  const egress = createEgress({ allow: ["127.0.0.0/8"], caFile: authority.caFile, resolveName });
  const { port } = server.address() as AddressInfo;
  const { url, lookup, ca } = await egress.resolve(`https://feed.example:${port}/`);
  const status = await new Promise((resolve, reject) => {
    const sent = request(url, { lookup, agent: false, ...(ca && { ca }) }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on("error", reject).end();
  });
  assert.deepEqual([status, asked], [200, 1]);
});

test("an allow list holds names, addresses and networks only", () => {
  const good = ["broker", "a.b-c.example", "10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "_x.svc"];
  const bad = ["", "10.0.0.0/33", "10.0.0", "a b", "https://x", "*", "x:80", "10.0.0.0/8/8", "-x", "1234"];
  assert.deepEqual(
    good.filter((entry) => !isAllowEntry(entry)),
    [],
  );
  assert.deepEqual(bad.filter(isAllowEntry), []);
});
