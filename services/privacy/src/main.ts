import { runService } from "@millrace/runtime";
import { privacyConfig } from "./config.js";
import { privacy } from "./service.js";

await runService({ name: "privacy", config: privacyConfig, build: privacy });
