export { connectForwarded, type ForwardedBroker } from "./connect-forwarded.js";
export { findNatsServer } from "./find-server.js";
export { freePort, type NatsOptions, type NatsServer, startNats } from "./nats-server.js";
export { type PermissionsToTry, type TriedPermissions, tryPermissions } from "./try-permissions.js";
export { natsWorkbench, type Workbench } from "./workbench.js";
