/**
 * What may break a rule, and why: the only list of its kind. A test fails when an entry excuses nothing any
 * more.
 */
export interface Exemption {
  /** The rule's name. */
  rule: string;
  /** A file or a folder. */
  path: string;
  reason: string;
}

const besides = "each test lies beside the file that it tests";
const domains = "a service's domain folders know neither broker nor runtime";

export const exemptions: readonly Exemption[] = [
  {
    rule: besides,
    path: "cli/src/broker/fetch-release.test.ts",
    reason: "one way of server-ways.ts, against a local HTTP server",
  },
  {
    rule: besides,
    path: "cli/src/broker/real-server.test.ts",
    reason: "a scenario: the folder's parts obtain a real server",
  },
  {
    rule: besides,
    path: "cli/src/supervisor/orphans.test.ts",
    reason: "a scenario: supervisor killed, guard and child left",
  },
  {
    rule: besides,
    path: "services/output/src/storage/faults",
    reason: "crashes of the whole storage folder, with the disk that makes them",
  },
  {
    rule: besides,
    path: "services/privacy/src/detect/quality/recall.test.ts",
    reason: "measures all detectors together on a corpus",
  },
  {
    rule: domains,
    path: "services/gateway/src/rpc",
    reason: "turns functions into gRPC calls: the service's edge, no domain",
  },
  {
    rule: domains,
    path: "services/ingestion/src/source",
    reason: "joins the file domain to buffer and broker; file/ holds the domain and knows neither",
  },
  {
    rule: domains,
    path: "services/semantic-search/src/freshness",
    reason:
      "asks the broker how far it has read: that is what freshness means; " +
      "index/ and rank/ know nothing of it",
  },
  {
    rule: "every test runs",
    path: "test/src/fault/disk.test.ts",
    reason: "small disks are mounted: without root or tmpfs it says that it was not run",
  },
  {
    rule: "every test runs",
    path: "test/src/fault/power-cut.test.ts",
    reason:
      "the disk that is cut is a loop device: without one, or without root, it says that it was not run",
  },
  {
    rule: "every test runs",
    path: "libs/segments/src/log/segment-log.faults.test.ts",
    reason: "a small disk is mounted: without root or tmpfs it says that it was not run",
  },
  {
    rule: "no type is any",
    path: "libs/proto/src/rpc-status.test.ts",
    reason: "a value is named any, as the protobuf type that it encodes",
  },
  {
    rule: "clock and randomness are handed in",
    path: "libs/sdk/src/rpc/environment.ts",
    reason: "where the SDK, which does not use libs/runtime, lets tests hand in theirs",
  },
  {
    rule: "clock and randomness are handed in",
    path: "libs/runtime/src/logger.ts",
    reason: "stamps log lines; nothing is decided by it",
  },
];
