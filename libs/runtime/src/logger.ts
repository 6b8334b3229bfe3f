import { trace } from "@opentelemetry/api";
import { pino } from "pino";

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Fixed sentences plus fields; never payload, vectors or secrets. */
export interface Logger {
  debug(sentence: string, fields?: Fields): void;
  info(sentence: string, fields?: Fields): void;
  warn(sentence: string, fields?: Fields): void;
  error(sentence: string, fields?: Fields): void;
}

export function createLogger(service: string, instance: string, level: string): Logger {
  const log = pino({
    level,
    base: { service, instance },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    mixin: () => {
      const context = trace.getActiveSpan()?.spanContext();
      return context === undefined ? {} : { trace_id: context.traceId, span_id: context.spanId };
    },
  });
  return {
    debug: (sentence, fields = {}) => log.debug(fields, sentence),
    info: (sentence, fields = {}) => log.info(fields, sentence),
    warn: (sentence, fields = {}) => log.warn(fields, sentence),
    error: (sentence, fields = {}) => log.error(fields, sentence),
  };
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
