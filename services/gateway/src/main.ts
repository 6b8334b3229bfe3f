import { runService } from "@millrace/runtime";
import { gatewayConfig } from "./config.js";
import { gateway } from "./service.js";

await runService({ name: "gateway", config: gatewayConfig, build: gateway });
