export {
  type Arrived,
  findAboveCap,
  findAltered,
  findDuplicated,
  findLost,
  findOutOfOrder,
  type History,
  type Sent,
} from "./checkers.js";
export { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "./otlp-receiver.js";
export { type Operation, readOperations } from "./operations.js";
export {
  findBehind,
  findGrown,
  findRedelivered,
  type Held,
  type HeldBounds,
  type Lag,
  type StageInput,
} from "./run-checkers.js";
export { type ServiceProcess, type ServiceToStart, startService } from "./service-process.js";
// What the libs' own tests need lies in them, since they stand below this one; everybody else takes it from
// here.
export { type BatchToBuild, buildBatch, inlineBatch, textsOf } from "@millrace/envelope/testing";
export {
  type KafkaOptions,
  type KafkaServer,
  type KafkaUser,
  startKafka,
  type TopicOptions,
} from "@millrace/kafka/testing";
export {
  findNatsServer,
  freePort,
  type NatsOptions,
  type NatsServer,
  natsWorkbench,
  type PermissionsToTry,
  startNats,
  type TriedPermissions,
  tryPermissions,
  type Workbench,
} from "@millrace/messaging/testing";
export {
  type CertificateToIssue,
  createAuthority,
  createFakeClock,
  eventually,
  type EventuallyOptions,
  type FakeClock,
  type TestAuthority,
  testRuntime,
} from "@millrace/runtime/testing";
