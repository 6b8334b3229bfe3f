import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../lib/places.mjs";

/**
 * What the images hold and how they start, told once. The Dockerfile says the same in its own words, since an
 * engine reads nothing else; dockerfile.test.mjs holds the two together. Which files go in is no second
 * telling: both builds run lay-out.mjs.
 */

/**
 * @typedef {object} ImageDefinition
 * @property {string} name
 * @property {string[]} layers folders that lay-out.mjs fills, from what changes seldom to what changes often
 * @property {string} user numeric, since `runAsNonRoot` cannot look a name up
 * @property {string} workdir
 * @property {string[]} entrypoint
 * @property {string[] | undefined} command what the entrypoint gets where the pod gives nothing
 * @property {Record<string, string>} env
 * @property {string} title
 * @property {string} description
 * @property {string} licenses
 */

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const user = "10001:10001";

/** @type {ImageDefinition} */
export const servicesImage = {
  name: "millrace",
  layers: ["dependencies", "model", "code"],
  user,
  workdir: "/app",
  entrypoint: ["node"],
  command: ["/app/cli/bin/millrace.mjs", "--help"],
  env: { NODE_ENV: "production", PATH: path },
  title: "Millrace",
  description: "Millrace turns live data into searchable, private, learning streams: all services",
  licenses: "Apache-2.0",
};

/** @type {ImageDefinition} */
export const natsImage = {
  name: "millrace-nats",
  layers: ["nats"],
  user,
  workdir: "/",
  entrypoint: ["nats-server"],
  command: undefined,
  env: { PATH: path },
  title: "nats-server for Millrace",
  description: "The nats-server that Millrace is tested with, and nothing else",
  licenses: "Apache-2.0",
};

export const images = [servicesImage, natsImage];

/**
 * @param {ImageDefinition} image
 * @param {{ version: string, revision: string }} of
 * @returns {Record<string, string>}
 */
export function labels(image, { version, revision }) {
  return {
    "org.opencontainers.image.title": image.title,
    "org.opencontainers.image.description": image.description,
    "org.opencontainers.image.licenses": image.licenses,
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.revision": revision,
  };
}

/** Where things lie in the image; the chart's configs name these. */
export const appFolder = "app";
export const modelsFolder = "opt/millrace/models";

/** The chart's default configs name this model, so an image with another one would not start under them. */
export const modelName = "bge-small-en-v1.5-int8";
/** The others of the image, for images: what they find or blur. */
export const imageModelNames = ["centerface", "ssd-mobilenetv2-oidv4", "efficientnet-lite0"];

/** Only for tests, and nothing that ships depends on them. */
const notShipped = ["libs/testkit"];

/** The packages that ship, relative to the checkout: a new service or library is taken by being there. */
export function shippedPackages() {
  const grouped = ["libs", "services"].flatMap((group) =>
    readdirSync(join(root, group))
      .sort()
      .map((name) => `${group}/${name}`),
  );
  return [...grouped, "cli", "examples"].filter((folder) => {
    if (notShipped.includes(folder)) return false;
    return readdirSync(join(root, folder)).includes("package.json");
  });
}

/** What ships beside each package's package.json and dist. */
export const shippedFiles = [
  "LICENSE",
  "NOTICE",
  "package.json",
  "cli/bin",
  "libs/proto/image.binpb",
  "models/NOTICE.md",
  "models/heads",
  "models/labels",
  "models/manifest.json",
  "models/vocabulary",
];

/** Of our own output, what no running service reads. */
export function isOwnLeftOut(/** @type {string} */ name) {
  return /(\.test|\/testing|^testing)\.js$|\.map$|\.d\.ts$|\.tsbuildinfo$|(^|\/)testing\//.test(name);
}

/** @returns {string} */
export function appVersion() {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}
