import { runService } from "@millrace/runtime";
import { bufferConfig } from "./config.js";
import { buffer } from "./service.js";

await runService({ name: "buffer", config: bufferConfig, build: buffer });
