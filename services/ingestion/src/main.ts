import { runService } from "@millrace/runtime";
import { ingestionConfig } from "./config.js";
import { ingestion } from "./service.js";

await runService({ name: "ingestion", config: ingestionConfig, build: ingestion });
