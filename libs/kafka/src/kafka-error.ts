import { type Code, CodedError } from "@millrace/errors";

interface Shape {
  message?: unknown;
  name?: unknown;
  type?: unknown;
  apiId?: unknown;
  code?: unknown;
  cause?: unknown;
  errors?: unknown;
  originalError?: unknown;
}

interface Known {
  matches: RegExp;
  code: Code;
  what: string;
  remedy: string;
}

/**
 * The first that one of the errors in a chain speaks of. Both drivers use the protocol's own names, in names,
 * types or texts.
 */
const known: readonly Known[] = [
  {
    matches: /SASL|AUTHENTICATION(?!_API)|authentication failed/i,
    code: "unauthenticated",
    what: "the brokers refuse the user or the password, or the mechanism",
    remedy: "Check the SASL mechanism, the user name and the password.",
  },
  {
    matches: /_AUTHORIZATION_FAILED/,
    code: "permission_denied",
    what: "the user may not do that",
    remedy: "Grant it the rights on the topic and the consumer group.",
  },
  {
    matches: /self[- ]signed|unable to verify|CERT_|certificate|ERR_TLS|wrong version number|EPROTO|alert /i,
    code: "failed_precondition",
    what: "TLS could not be agreed on",
    remedy: "Check that the port speaks TLS, and that the authority given signed the broker's certificate.",
  },
  {
    matches: /UNKNOWN_TOPIC|TopicMetadataNotLoaded|Unknown topic/,
    code: "not_found",
    what: "there is no such topic",
    remedy: "Create the topic, or correct its name.",
  },
  {
    matches: /INVALID_TOPIC/,
    code: "invalid_argument",
    what: "the topic's name is not a legal one",
    remedy: "Use letters, digits, dots, underscores and hyphens.",
  },
  {
    matches: /MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE/,
    code: "invalid_argument",
    what: "a message is above the topic's size limit",
    remedy: "Raise max.message.bytes of the topic, or send smaller messages.",
  },
  {
    matches: /compression|zstd|codec/i,
    code: "unimplemented",
    what: "the compression is not known here",
    remedy: "zstd needs Node 22.15 or newer; gzip, snappy and lz4 work everywhere.",
  },
  {
    matches: /INCONSISTENT_GROUP_PROTOCOL|protocols are incompatible/,
    code: "failed_precondition",
    what: "other members of the group divide its partitions in another way",
    remedy: "Read with one driver in a group, and let nobody else be a member of it.",
  },
  {
    matches: /GROUP_LOAD_IN_PROGRESS|COORDINATOR_(LOAD|NOT)|NOT_COORDINATOR/,
    code: "unavailable",
    what: "the broker that keeps the group is not ready yet",
    remedy: "Wait until the brokers have started.",
  },
  {
    matches: /ILLEGAL_GENERATION|UNKNOWN_MEMBER|REBALANCE_IN_PROGRESS|FENCED|not a member/i,
    code: "failed_precondition",
    what: "the group has gone on without us",
    remedy: "",
  },
];

/** What a driver threw, in our words: theirs may quote whatever the broker or the user wrote. */
export function kafkaError(caught: unknown, attempted: string): CodedError {
  if (caught instanceof CodedError) return caught;
  const texts = [...chain(caught)];
  for (const { matches, code, what, remedy } of known) {
    if (!texts.some((text) => matches.test(text))) continue;
    return new CodedError(code, `${attempted}: ${what}`, {
      ...(remedy === "" ? {} : { remedy }),
      cause: caught,
    });
  }
  return new CodedError("unavailable", `${attempted}: no broker answers`, {
    remedy: "Check the bootstrap servers and that the brokers are reachable.",
    cause: caught,
  });
}

const depthMax = 12;

/** Names and texts of an error, its causes and its parts. */
function* chain(caught: unknown, depth = 0): Generator<string> {
  if (typeof caught !== "object" || caught === null || depth > depthMax) return;
  const error = caught as Shape;
  yield [error.name, error.type, error.apiId, error.code, error.message].filter(isText).join(" ");
  yield* chain(error.cause, depth + 1);
  yield* chain(error.originalError, depth + 1);
  if (Array.isArray(error.errors)) for (const part of error.errors) yield* chain(part, depth + 1);
}

const isText = (value: unknown): value is string => typeof value === "string";
