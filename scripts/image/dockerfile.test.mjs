import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { root } from "../lib/places.mjs";
import { appVersion, images, labels, servicesImage } from "./definition.mjs";
import { readDockerfile } from "./dockerfile.mjs";

const given = { VERSION: "9.8.7", REVISION: "abc" };
const text = readFileSync(join(root, "Dockerfile"), "utf8");

test("the Dockerfile's images are those that are assembled without an engine", () => {
  assert.deepEqual(differences(text), []);
});

test("its defaults are Node 24 and the version of this checkout", () => {
  const { baseImage, stages } = readDockerfile(text);
  assert.match(baseImage ?? "", /^node:24-/);
  const version = stages.find(({ name }) => name === servicesImage.name)?.labels;
  assert.equal(version?.["org.opencontainers.image.version"], appVersion());
});

test("what is in only one of the two definitions is found", () => {
  const mutants = /** @type {[string, string, RegExp][]} */ ([
    ["USER 10001:10001", "USER node", /millrace: user/],
    ["WORKDIR /app", "WORKDIR /srv", /millrace: workdir/],
    ['ENTRYPOINT ["node"]', 'ENTRYPOINT ["npm"]', /millrace: entrypoint/],
    ['NODE_ENV="production"', 'NODE_ENV="test"', /millrace: env/],
    ['ENV PATH="', 'ENV DEBUG="1" PATH="', /millrace-nats: env/],
    ['licenses="Apache-2.0"', 'licenses="MIT"', /millrace: labels/],
    ['revision="${REVISION}"', 'revision="x"', /millrace: labels/],
    ["COPY --from=build /out/model/ /\n", "", /millrace: copies/],
    ["COPY --from=build /out/nats/ /", "COPY --from=build /out/ /", /millrace-nats: copies/],
    ["FROM scratch AS millrace-nats", "FROM scratch AS nats", /millrace-nats: there is no such stage/],
    ['["/app/cli/bin/millrace.mjs", "--help"]', '["-p", "1"]', /millrace: command/],
  ]);
  for (const [from, to, found] of mutants) {
    assert.ok(text.includes(from), from);
    assert.match(differences(text.replace(from, to)).join("\n"), found, `${from} -> ${to}`);
  }
});

test("an instruction that is not compared is refused, and so is a shell's entrypoint", () => {
  const added = (/** @type {string} */ line) => () => differences(`${text}\n${line}\n`);
  assert.throws(added("RUN chmod 777 /tmp"), /RUN in the stage millrace-nats/);
  assert.throws(added("VOLUME /data"), /VOLUME in the stage millrace-nats/);
  assert.throws(added("ENTRYPOINT nats-server"), /ENTRYPOINT has to be a JSON list/);
});

/**
 * @param {string} dockerfile
 * @returns {string[]} what differs, by image and setting
 */
function differences(dockerfile) {
  const { stages } = readDockerfile(dockerfile, given);
  return images.flatMap((image) => {
    const stage = stages.find(({ name }) => name === image.name);
    if (stage === undefined) return [`${image.name}: there is no such stage`];
    const wanted = {
      user: image.user,
      workdir: image.workdir,
      entrypoint: image.entrypoint,
      command: image.command,
      env: image.env,
      labels: labels(image, { version: given.VERSION, revision: given.REVISION }),
      copies: image.layers.map((layer) => ({ from: "build", source: `/out/${layer}/`, target: "/" })),
    };
    return Object.entries(wanted)
      .filter(([key, value]) => !isSame(stage[/** @type {"user"} */ (key)], value))
      .map(([key]) => `${image.name}: ${key}`);
  });
}

/** @param {unknown} a @param {unknown} b */
function isSame(a, b) {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}
