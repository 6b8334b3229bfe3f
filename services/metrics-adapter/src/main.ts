import { runService } from "@millrace/runtime";
import { metricsAdapterConfig } from "./config.js";
import { metricsAdapter } from "./service.js";

await runService({ name: "metrics-adapter", config: metricsAdapterConfig, build: metricsAdapter });
