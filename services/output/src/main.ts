import { runService } from "@millrace/runtime";
import { outputConfig } from "./config.js";
import { output } from "./service.js";

await runService({ name: "output", config: outputConfig, build: output });
