import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";
import { commandsOf, programsOf, scriptOf } from "./notes.js";

test("commands are found among the sentences around them", () => {
  const notes = `Millrace is installed.

Forward the port:
  kubectl port-forward service/millrace-gateway \\
    7070:7070
Then:
  export TOKEN=$(kubectl get secret x)
  npx millrace publish demo "a text"
  npx millrace subscribe demo --from earliest
  see the README
  or, from a checkout:  npx millrace status
kubectl is needed.
`;
  assert.deepEqual(commandsOf(notes), [
    "kubectl port-forward service/millrace-gateway 7070:7070",
    "export TOKEN=$(kubectl get secret x)",
    'npx millrace publish demo "a text"',
    "npx millrace subscribe demo --from earliest",
    "npx millrace status",
  ]);
});

test("what they need is told", () => {
  assert.deepEqual(programsOf(["grpcurl -plaintext x list", "npx millrace status"]), ["grpcurl", "kubectl"]);
});

test("the script follows them, with what one exports in the next one's hands", () => {
  const commands = ["WORD='it is'", "echo published", `printf '%s\\n' "search $WORD"`];
  const said = execFileSync("bash", ["-c", scriptOf(commands)], { encoding: "utf8" });
  assert.equal(said, "published\nsearch it is\n");
});

test("a command that fails fails the script", () => {
  assert.throws(() => execFileSync("bash", ["-c", scriptOf(["false", "echo on"])], { stdio: "pipe" }));
});
