import type { NodeSDK } from "@opentelemetry/sdk-node";
import type { Component } from "./lifecycle.js";

/**
 * OpenTelemetry traces, on when OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set; the usual OTEL_*
 * variables apply. The SDK is loaded only then: it costs half a second of start-up a process.
 */
export function createTracing(service: string, instance: string, env: NodeJS.ProcessEnv): Component {
  const endpoint = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] ?? env["OTEL_EXPORTER_OTLP_ENDPOINT"];
  if (endpoint === undefined || env["OTEL_SDK_DISABLED"] === "true") return { name: "tracing" };
  let sdk: NodeSDK | undefined;
  return {
    name: "tracing",
    start: async () => {
      const { NodeSDK } = await import("@opentelemetry/sdk-node");
      const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
      const { resourceFromAttributes } = await import("@opentelemetry/resources");
      sdk = new NodeSDK({
        resource: resourceFromAttributes({
          "service.name": service,
          "service.namespace": "millrace",
          "service.instance.id": `${service}-${instance}`,
        }),
        traceExporter: new OTLPTraceExporter(),
        instrumentations: [],
      });
      sdk.start();
    },
    stop: async () => {
      await sdk?.shutdown();
    },
  };
}
