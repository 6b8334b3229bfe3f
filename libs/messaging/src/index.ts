export { askDurability, type Durability } from "./broker/durability.js";
export { type Broker, type BrokerOptions, connectAs, connectBroker } from "./broker/broker.js";
export {
  adapterUser,
  adminUser,
  type BrokerUser,
  brokerUsers,
  inboxPrefix,
  listenerUser,
  type Permissions,
  permissionsOf,
  permissionsOfAdmin,
  permissionTable,
  type ServiceUser,
  serviceUsers,
} from "./broker/permissions.js";
export { provision, type ProvisionOptions } from "./broker/provisioner.js";
export {
  ensureUserKeys,
  renderServerConfig,
  seedFile,
  type ServerConfigOptions,
  type UserEntry,
  userEntries,
  type UserKeys,
} from "./broker/server-config.js";
export {
  ackWaitMs,
  buckets,
  consumerPlans,
  duplicateWindowSeconds,
  parkedStream,
  streamPlans,
} from "./broker/streams.js";
export {
  anyPartition,
  enrichedFlags,
  type EnrichedFlags,
  laneToken,
  type LaneToken,
  orderedPartition,
  type Route,
  routeOf,
  stageFilters,
  subjects,
} from "./broker/subjects.js";
export {
  type BatchPublisher,
  type Bodies,
  createBatchPublisher,
  type Placed,
} from "./delivery/batch-publisher.js";
export { isSureRefusal } from "./delivery/refusals.js";
export { drainParked } from "./delivery/consume/drain-parked.js";
export { createParking, type Parking } from "./delivery/consume/parking.js";
export { noPace, type Pace } from "./delivery/consume/hand/handling.js";
export type { Handler, Outcome, OutgoingBatch, StageOptions } from "./delivery/consume/options.js";
export { consumeOrdered } from "./delivery/consume/consume-ordered.js";
export { consumeBatches, type ConsumeOptions } from "./delivery/consumer.js";
export { emptyLedger, registryOf } from "./delivery/trial/stand-ins.js";
export { createTrial, type MakeTryBatch, type Trial } from "./delivery/trial/trial.js";
export { createDeadLetterWriter, type DeadLetterWriter, type RowFailure } from "./delivery/dead-letters.js";
export {
  type GroupConsumer,
  type GroupFrame,
  type GroupProgress,
  openGroupConsumer,
} from "./group/group-consumer.js";
export { groupDurable, type GroupOf } from "./group/group-keys.js";
export { createGroupStore, type GroupStore, type GroupWatch, watchGroups } from "./group/group-store.js";
export { waitingResults } from "./group/waiting-results.js";
export { openPartlySettled, type PartlySettledStore } from "./group/partly-settled.js";
export { createLaneTurns, type LaneTurns } from "./lanes/lane-turns.js";
export { createTurnOrder, type TurnOrder } from "./lanes/turn-order.js";
export { drainBodies } from "./delivery/drain-bodies.js";
export { isInferred, pastFilter } from "./delivery/past-filter.js";
export { createPublisher, type Outgoing, type Published, type Publisher } from "./delivery/publisher.js";
export { inActiveSpan, inReceivedSpan, tracedHeaders } from "./delivery/trace-context.js";
export {
  createLeaseEpochs,
  createLeaseStore,
  type Kept,
  type LeaseChange,
  type LeaseEpochs,
  type LeaseKey,
  leaseKeyOf,
  type LeaseStore,
} from "./sources/lease-store.js";
export {
  isStale,
  mergeReports,
  readAllReports,
  readReports,
  reportEveryMs,
  reportKey,
} from "./sources/source-reports.js";
export {
  anonymizeEndpoint,
  cleanEndpoint,
  discardLettersEndpoint,
  embedEndpoint,
  eraseEndpoint,
  findEndpoint,
  type LetterKeeper,
  listLettersEndpoint,
  readingEndpoint,
  type ReadingStage,
  readingStages,
  redriveEndpoint,
  redriveLettersEndpoint,
  replaceVectorEndpoint,
  showBatchEndpoint,
  showLetterEndpoint,
} from "./state/endpoints.js";
export { batchShelf } from "./letters/batch-shelf.js";
export { keepLetters, type KeepLettersParts } from "./letters/keep-letters.js";
export { openLetter, refusalOf } from "./letters/open-letter.js";
export { type HeldLetter, keeperOf, type Shelf, type ShelfName, shelfNames } from "./letters/shelf.js";
export { createRedrive, type Redrive, type RedriveParts, serveRedrive } from "./letters/redrive.js";
export { createExemptions, exemptionEndMs, type Exemptions } from "./state/exemptions.js";
export {
  purgeKept,
  purgeSource,
  readLast,
  storedNumbers,
  type StoredNumbers,
  type StoredSize,
  storedSizes,
} from "./state/kept.js";
export {
  type Account,
  countDead,
  createLedger,
  type Ledger,
  type LedgerKey,
  type Settlement,
} from "./state/ledger.js";
export { type LedgerLine, readLedger } from "./state/read-ledger.js";
export { type LedgerWatch, watchLedger } from "./state/ledger-watch.js";
export {
  type ConsumerState,
  inspectConsumer,
  inspectQueue,
  type QueueState,
  waitingBatches,
} from "./state/queue-state.js";
export { ask, type Codec, type Endpoint, serveRequests } from "./state/requests.js";
export {
  eraseStored,
  type PageOptions,
  readSince,
  readLastStored,
  readPage,
  type Since,
  type Stored,
  type StoredPage,
} from "./state/stored.js";
export { showRows } from "./tap/show-rows.js";
export { tapBatches, type TapStage, tapStages } from "./tap/tap.js";
export { untilSettled } from "./state/until-settled.js";
export { createStoredTracker, type StoredTracker } from "./state/stored-tracker.js";
export {
  createStreamRegistry,
  createStreamStore,
  defaultTenant,
  revisionForNew,
  type SourceChange,
  type StreamChange,
  type StreamRegistry,
  type StreamStore,
} from "./state/stream-registry.js";
export {
  countUnsettled,
  type EventDelivery,
  type EventQueue,
  openEventQueue,
  removeEventQueue,
} from "./triggers/event-queue.js";
export { publishNotice } from "./triggers/publish-notice.js";
export {
  triggerConsumer,
  triggerFilters,
  triggerLetters,
  triggerOfLetters,
  type TriggerName,
} from "./triggers/trigger-name.js";
export {
  createTriggerRegistry,
  createTriggerStore,
  openTriggerReports,
  type TriggerChange,
  type TriggerRegistry,
  type TriggerReports,
  type TriggerStore,
} from "./triggers/trigger-registry.js";
export {
  countStored,
  firstStoredFrom,
  hasStoredFrom,
  inspectStored,
  type StoredState,
  streamBounds,
  tailStream,
  type Tailed,
  type TailOptions,
} from "./state/tail.js";
