import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { z } from "zod";
import { baseConfig, parseArguments, parseConfig, readConfigFile, readerConfig } from "./config.js";
import { withIdentity } from "./identity.js";

const schema = z.strictObject({
  ...baseConfig,
  limits: z.strictObject({ bytesMax: z.int().default(1) }).prefault({}),
});
const parse = (value: unknown) => parseConfig(schema, value, "x.json");

test("no settings at all are a working configuration, frozen", () => {
  const config = parse({});
  assert.deepEqual([config.instance, config.http.port, config.limits.bytesMax], ["0", 0, 1]);
  assert.ok(Object.isFrozen(config));
});

const refused: [string, unknown, string][] = [
  ["an unknown key", { colour: "red" }, "colour"],
  ["an unknown key further down", { limits: { bytesMx: 1 } }, "limits.bytesMx"],
  ["an unknown key beside a bad value", { limits: { bytesMx: 1, bytesMax: "many" } }, "limits.bytesMx"],
  ["a value of another type", { limits: { bytesMax: "many" } }, "limits.bytesMax"],
  ["a value out of range", { http: { port: 70_000 } }, "http.port"],
  ["a name that is none", { instance: "Bad Name" }, "instance"],
  ["a list in place of the object", [], ""],
];
for (const [what, value, field] of refused) {
  test(`${what} is refused by name, with what to do`, () => {
    assert.throws(
      () => parse(value),
      (error: { code: string; field: string; remedy: string; message: string }) => {
        assert.deepEqual([error.code, error.field], ["invalid_argument", field]);
        assert.match(error.message, /^read config x\.json: /);
        assert.match(error.remedy, /--print-schema/);
        return true;
      },
    );
  });
}

test("a peer without a port is refused by the name of its node", () => {
  const reader = z.strictObject(readerConfig);
  const peers = { one: "10.0.0.1:7074", two: "[::1]:7074", three: "buffer.three:7074" };
  assert.deepEqual(parseConfig(reader, { peers }, "x.json"), { node: "local", peers });
  assert.throws(() => parseConfig(reader, { peers: { ...peers, two: "10.0.0.2" } }, "x.json"), {
    field: "peers.two",
    message: /must be host:port/,
  });
});

test("a file that is not there, or is no JSON, is refused with its path", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "millrace-config-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "c.json");
  assert.throws(() => readConfigFile(path), {
    code: "not_found",
    field: "--config",
    message: /c\.json: cannot be read/,
  });
  writeFileSync(path, "{ instance: 1");
  assert.throws(() => readConfigFile(path), {
    code: "invalid_argument",
    field: "--config",
    message: /not JSON/,
  });
  writeFileSync(path, '{ "instance": "a" }');
  assert.deepEqual(readConfigFile(path), { instance: "a" });
  assert.deepEqual(readConfigFile(undefined), {});
});

test("an address for all other nodes has their name in its host, and a port", () => {
  const reader = z.strictObject(readerConfig);
  const address = "{node}.millrace-nodes.default.svc:7075";
  assert.equal(parseConfig(reader, { peerAddress: address }, "x.json").peerAddress, address);
  for (const peerAddress of ["buffer:7075", "{node}.nodes", "dns:///{node}:7075", "buffer:{node}:x"]) {
    assert.throws(() => parseConfig(reader, { peerAddress }, "x.json"), {
      field: "peerAddress",
      message: /must be host:port with \{node\} in the host/,
    });
  }
});

test("the names of a pod go before those of the file it shares with others", () => {
  const reader = z.strictObject({ ...baseConfig, ...readerConfig });
  const pod = { MILLRACE_INSTANCE: "millrace-privacy-0", MILLRACE_NODE: "millrace-privacy-0" };
  const named = (of: z.ZodType, value: unknown, environment: Record<string, string>) => {
    const { instance, node } = parseConfig(of, withIdentity(of, value, environment), "x.json") as {
      instance: string;
      node?: string;
    };
    return [instance, node];
  };
  const file = { instance: "a", node: "b" };
  assert.deepEqual(named(reader, file, pod), ["millrace-privacy-0", "millrace-privacy-0"]);
  assert.deepEqual(named(reader, file, {}), ["a", "b"]);
  assert.deepEqual(named(reader, file, { MILLRACE_INSTANCE: "", MILLRACE_NODE: "c" }), ["a", "c"]);
  // A service without a node heeds none.
  assert.deepEqual(named(schema, {}, pod), ["millrace-privacy-0", undefined]);
  for (const variable of ["MILLRACE_INSTANCE", "MILLRACE_NODE"]) {
    assert.throws(() => withIdentity(reader, {}, { [variable]: "Bad Name" }), {
      code: "invalid_argument",
      field: variable,
    });
  }
  assert.throws(() => parseConfig(reader, withIdentity(reader, [], pod), "x.json"), { field: "" });
});

test("arguments are known or refused", () => {
  assert.deepEqual(parseArguments(["--config", "a.json", "--check-config"]), {
    configPath: "a.json",
    checkOnly: true,
    printSchema: false,
  });
  for (const argv of [["--confg", "a"], ["--config"], ["--config", "--check-config"]]) {
    assert.throws(() => parseArguments(argv), { code: "invalid_argument" });
  }
});
