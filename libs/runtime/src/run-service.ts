import { CodedError } from "@millrace/errors";
import { z } from "zod";
import { type Clock, type Random, systemClock, systemRandom } from "./clock.js";
import { type BaseConfig, parseArguments, parseConfig, readConfigFile } from "./config.js";
import { createHealthServer } from "./health-server.js";
import { withIdentity } from "./identity.js";
import { type Component, createLifecycle, type Lifecycle } from "./lifecycle.js";
import { createLogger, type Logger } from "./logger.js";
import { createMetrics, type Metrics } from "./metrics.js";
import { createTracing } from "./tracing.js";
import { startWatchdog } from "./watchdog.js";

/** What a service is built with. */
export interface Runtime {
  service: string;
  instance: string;
  version: string;
  log: Logger;
  metrics: Metrics;
  clock: Clock;
  random: Random;
  /** Ends the process in order, as SIGTERM does, with exit code 1: for what a restart heals. */
  fail(reason: CodedError): void;
  /** Ends it at once, as the watchdog does: work under way is not given back, and counts as begun. */
  kill(reason: CodedError): void;
  /** How long the handler of a batch may take without coming further. */
  handlingMsMax: number;
}

export type BuildService<C> = (config: C, runtime: Runtime) => Promise<Component[]>;

export interface ServiceDefinition<S extends z.ZodType<BaseConfig>> {
  name: string;
  config: S;
  build: BuildService<z.infer<S>>;
}

export const version = "0.1.0";

/**
 * Runs a service until SIGTERM or SIGINT, or, where MILLRACE_PARENT_PIPE is set, until standard input ends:
 * then the supervisor is gone and its children must not outlive it. Exit codes: 0 stopped, 1 failed, 2 bad
 * config.
 */
export async function runService<S extends z.ZodType<BaseConfig>>(
  service: ServiceDefinition<S>,
): Promise<void> {
  let config: z.infer<S>;
  try {
    const given = parseArguments(process.argv.slice(2));
    if (given.printSchema) {
      process.stdout.write(
        `${JSON.stringify(z.toJSONSchema(service.config, { io: "input" }), undefined, 2)}\n`,
      );
      return;
    }
    const settings = withIdentity(service.config, readConfigFile(given.configPath), process.env);
    config = parseConfig(service.config, settings, given.configPath ?? "(defaults)");
    if (given.checkOnly) return;
  } catch (caught) {
    process.stderr.write(`${service.name}: ${CodedError.from(caught, "read config").toString()}\n`);
    process.exitCode = 2;
    return;
  }
  await runConfigured(service, config);
}

async function runConfigured<S extends z.ZodType<BaseConfig>>(
  service: ServiceDefinition<S>,
  config: z.infer<S>,
): Promise<void> {
  const log = createLogger(service.name, config.instance, config.logLevel);
  const metrics = createMetrics(service.name, config.instance);
  let lifecycle: Lifecycle = createLifecycle([], log);
  let exitCode = 0;
  let stopping: Promise<void> | undefined;
  const stop = (): void => {
    stopping ??= lifecycle.stop(config.drainTimeoutMs).then(() => {
      log.info("stopped", { exit_code: exitCode });
      process.exit(exitCode);
    });
  };
  const fail = (reason: CodedError): void => {
    const { code, message, field, remedy } = reason;
    log.error("failed, stopping", { code, error: message, field, remedy });
    exitCode = 1;
    stop();
  };
  const crash = (caught: unknown): void => {
    log.error("crashed", { error: caught instanceof Error ? caught.stack : String(caught) });
    process.exit(1);
  };
  process.on("uncaughtException", crash).on("unhandledRejection", crash);
  process.on("SIGTERM", stop).on("SIGINT", stop);
  if (process.env["MILLRACE_PARENT_PIPE"] === "1") process.stdin.on("end", stop).on("error", stop).resume();
  try {
    startWatchdog(config.hangMsMax);
    const tracing = createTracing(service.name, config.instance, process.env);
    const health = createHealthServer(config.http, () => lifecycle, metrics);
    await tracing.start?.();
    await health.start?.();
    const runtime: Runtime = {
      service: service.name,
      instance: config.instance,
      version,
      log,
      metrics,
      clock: systemClock,
      random: systemRandom,
      fail,
      kill: (reason) => {
        log.error("killed", { code: reason.code, error: reason.message });
        process.kill(process.pid, "SIGKILL");
      },
      handlingMsMax: config.handlingMsMax,
    };
    const components = await service.build(config, runtime);
    // Telemetry and probes go first and stop last: a start that takes long can be watched.
    const { start: _tracing, ...tracingRunning } = tracing;
    const { start: _health, ...healthRunning } = health;
    lifecycle = createLifecycle([tracingRunning, healthRunning, ...components], log);
    await lifecycle.start();
    log.info("ready", { http_port: health.port(), version });
  } catch (caught) {
    fail(CodedError.from(caught, `start ${service.name}`));
  }
}
