import assert from "node:assert/strict";
import test from "node:test";
import { CodedError } from "@millrace/errors";
import { findingCodes, findingTypes } from "../detect/finding-type.js";
import { createScanner } from "../detect/scan/scanner.js";
import { redactText } from "../redact/detect-text.js";
import { allDetectors } from "./all-detectors.js";
import { defaultPolicy, policyDetectors, policyHash, policyWithout } from "./default-policy.js";

test("every finding type has one detector and a code of its own", () => {
  assert.deepEqual(allDetectors.map(({ type }) => type).toSorted(), [...findingTypes].toSorted());
  assert.equal(new Set(Object.values(findingCodes)).size, findingTypes.length);
});

test("the default policy runs every detector", () => {
  assert.deepEqual(policyDetectors(defaultPolicy), [...allDetectors]);
});

test("a detector that is switched off does not run", () => {
  const policy = policyWithout(["EMAIL", "PHONE"]);
  const scanner = createScanner({ detectors: policyDetectors(policy) });
  assert.equal(redactText("anna@example.com 10.0.0.1", scanner), "anna@example.com [IP]");
});

test("an unknown detector is refused with its field and the names there are", () => {
  assert.throws(
    () => policyWithout(["EMAIL", "FAX"], "privacy.detectorsOff[1]"),
    (error) =>
      error instanceof CodedError &&
      error.code === "invalid_argument" &&
      error.field === "privacy.detectorsOff[1]" &&
      findingTypes.every((type) => error.remedy?.includes(type)),
  );
});

test("the hash names the policy and does not depend on the order of what is switched off", () => {
  assert.match(policyHash(defaultPolicy), /^[0-9a-f]{64}$/);
  assert.equal(policyHash(policyWithout(["SSN", "IP"])), policyHash(policyWithout(["IP", "SSN"])));
  assert.notEqual(policyHash(policyWithout(["IP"])), policyHash(defaultPolicy));
});
