import { runService } from "@millrace/runtime";
import { inferenceConfig } from "./config.js";
import { inference } from "./service.js";

await runService({ name: "inference", config: inferenceConfig, build: inference });
