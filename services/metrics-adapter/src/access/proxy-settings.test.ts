import assert from "node:assert/strict";
import { test } from "node:test";
import { parseProxySettings } from "./proxy-settings.js";

const data = {
  "requestheader-client-ca-file": "PEM",
  "requestheader-allowed-names": "[]",
  "requestheader-username-headers": '["X-Remote-User"]',
  "requestheader-group-headers": '["X-Remote-Group"]',
};

test("names of headers are read in lower case; what an older cluster leaves out is none", () => {
  assert.deepEqual(parseProxySettings(data), {
    ca: "PEM",
    allowedNames: [],
    userHeaders: ["x-remote-user"],
    uidHeaders: [],
    groupHeaders: ["x-remote-group"],
    extraPrefixes: [],
  });
});

test("a cluster without aggregation is named as such, and a list that is none by its key", () => {
  for (const key of ["requestheader-client-ca-file", "requestheader-username-headers"] as const)
    assert.throws(() => parseProxySettings({ ...data, [key]: "" }), new RegExp(`${key} is missing`));
  for (const text of ["X-Remote-User", "{}", "[1]"])
    assert.throws(
      () => parseProxySettings({ ...data, "requestheader-group-headers": text }),
      /requestheader-group-headers is no list of names/,
    );
});
