export { backoffMs, type Clock, type Random, systemClock, systemRandom } from "./clock.js";
export {
  type BaseConfig,
  baseConfig,
  egressConfig,
  nodeConfig,
  parseArguments,
  parseConfig,
  rangeListener,
  readConfigFile,
  readerConfig,
} from "./config.js";
export { createEgress, type Egress, type EgressTarget } from "./egress/egress.js";
export { collect } from "./grpc/collect.js";
export { callUnary, insecure, internalChannel, type Unary } from "./grpc/client.js";
export { inServerSpan, logFault, metadataOf, tracedHeaders, tracedMetadata, unary } from "./grpc/unary.js";
export { decoded } from "./grpc/decoded.js";
export type { AskedCall, CallCheck } from "./grpc/guard.js";
export {
  channelCredentials,
  internalSecurity,
  publicSecurity,
  type ServerSecurity,
} from "./grpc/security.js";
export { createRangeClient, type RangeClient } from "./grpc/range-client.js";
export { createRangeServer } from "./grpc/range-server.js";
export { createGrpcServer, type GrpcServer, type GrpcService } from "./grpc/server.js";
export { fromStatus, fromStatusBytes, toStatus, toStatusBytes } from "./grpc/status.js";
export { createHealthServer, type HealthServer, listenError } from "./health-server.js";
export { type Component, createLifecycle, type Lifecycle } from "./lifecycle.js";
export { createLogger, type Fields, type Logger, silentLogger } from "./logger.js";
export { createMetrics, type Metrics } from "./metrics.js";
export {
  type BuildService,
  type Runtime,
  runService,
  type ServiceDefinition,
  version,
} from "./run-service.js";
export {
  type KeyPair,
  type KeyPairFiles,
  readCertificates,
  readKeyPair,
  readTls,
  type TlsFiles,
  type TlsMaterial,
} from "./tls/tls-files.js";
export { createSecrets, type Secrets } from "./secrets/secrets.js";
export { createTracing } from "./tracing.js";
export { startWatchdog } from "./watchdog.js";
