import assert from "node:assert/strict";
import test from "node:test";
import { foundIn } from "./quality/found-in.js";

test("finds IPv4 without its port, prefix length and punctuation", () => {
  assert.deepEqual(foundIn("from 192.168.1.10:8080 to 10.0.0.0/8."), ["IP 192.168.1.10", "IP 10.0.0.0"]);
  assert.deepEqual(foundIn("/10.0.0.1:54321"), ["IP 10.0.0.1"]);
  assert.deepEqual(foundIn("1.1.1.1"), ["IP 1.1.1.1"]);
  assert.deepEqual(foundIn("at 255.255.255.255."), ["IP 255.255.255.255"]);
});

test("finds IPv6 full, compressed and with an IPv4 tail", () => {
  const addresses = [
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "2001:db8::1",
    "2001:db8::",
    "fe80::1",
    "::1",
    "::ffff:192.0.2.1",
    "64:ff9b::192.0.2.33",
    "1:2:3:4:5:6:7:8",
  ];
  for (const address of addresses) {
    assert.deepEqual(foundIn(`from ${address} port`), [`IP ${address}`]);
    assert.deepEqual(foundIn(`"[${address}]:443"`), [`IP ${address}`]);
    assert.deepEqual(foundIn(`peer=${address}, down.`), [`IP ${address}`]);
  }
});

test("leaves a single colon after an address", () => {
  assert.deepEqual(foundIn("fe80::1: down"), ["IP fe80::1"]);
});

test("takes no version, time, MAC, slice or scope for an address", () => {
  const others = [
    "1.2.3.4.5",
    "v1.2.3.4",
    "1.2.3",
    "1.2.3.256",
    "01.02.03.04",
    "Chrome/120.0.0.0",
    "12:34:56",
    "2026-11-22T10:00:00.123Z",
    "aa:bb:cc:dd:ee:ff",
    "00:11:22:33:44:55",
    "x[1::2] y[::2]",
    "std::vector",
    "a::b",
    "Face::Bad",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "12345::1",
    ":::1",
    "::ffff:1.2.3.256",
  ];
  for (const text of others) assert.deepEqual(foundIn(text), [], text);
});
