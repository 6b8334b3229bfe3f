/**
 * Obtains nats-server for those that may not import this package: the set-up of tests, and image builds.
 *
 *     node cli/dist/broker/obtain-main.js   tries on stderr, {"path", "version", "how"} as JSON on stdout
 *
 * NATS_URL is left out of account: tests restart and kill the server, so it must be one of their own.
 */
import { fileURLToPath } from "node:url";
import { CodedError } from "@millrace/errors";
import { cacheDir } from "../models/cache-dir.js";
import { obtainNatsServer } from "./obtain-server.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
try {
  const { NATS_URL: _, ...env } = process.env;
  const server = await obtainNatsServer({
    cacheDir: cacheDir(root, env),
    env,
    log: (line) => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${JSON.stringify(server)}\n`);
} catch (caught) {
  process.stderr.write(`${CodedError.from(caught, "obtain nats-server").toString()}\n`);
  process.exitCode = 1;
}
