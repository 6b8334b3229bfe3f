import { runService } from "@millrace/runtime";
import { semanticSearchConfig } from "./config.js";
import { semanticSearch } from "./service.js";

await runService({ name: "semantic-search", config: semanticSearchConfig, build: semanticSearch });
