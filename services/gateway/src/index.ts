export { type GatewayConfig, gatewayConfig } from "./config.js";
export { gateway } from "./service.js";
