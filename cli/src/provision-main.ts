/**
 * Makes the streams, consumers and buckets of a broker that others run, or brings them to what this version
 * needs; run again, it changes nothing.
 *
 *     node cli/dist/provision-main.js --config <file>
 *
 * Exit codes: 0 all is there, 1 not in time, 2 bad config.
 */
import { CodedError } from "@millrace/errors";
import { createLogger, parseArguments, parseConfig, readConfigFile, systemClock } from "@millrace/runtime";
import { provisionConfig } from "./provision/config.js";
import { provisionInTime } from "./provision/provision-in-time.js";

async function main(): Promise<number> {
  let config;
  try {
    const given = parseArguments(process.argv.slice(2));
    config = parseConfig(provisionConfig, readConfigFile(given.configPath), given.configPath ?? "(defaults)");
    if (given.checkOnly) return 0;
  } catch (caught) {
    process.stderr.write(`provisioner: ${CodedError.from(caught, "read config").toString()}\n`);
    return 2;
  }
  const log = createLogger("provisioner", "0", config.logLevel);
  try {
    await provisionInTime(config, { log, clock: systemClock });
    log.info("streams, consumers and buckets are there", { replicas: config.replicas });
    return 0;
  } catch (caught) {
    const { code, message, field, remedy } = CodedError.from(caught, "provision");
    log.error("not provisioned", { code, error: message, field, remedy });
    return 1;
  }
}

process.exit(await main());
