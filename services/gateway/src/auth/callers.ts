import type { Metadata } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type { CallCheck, Component, Runtime } from "@millrace/runtime";
import type { GatewayConfig } from "../config.js";
import { type Caller, readTokenFile } from "./token-file.js";

export interface Callers {
  /** Undefined where nobody is asked who they are. */
  check: CallCheck | undefined;
  /** Whether this caller holds the privacy role. */
  mayExempt(metadata: Metadata): boolean;
  /** The same; where callers have no roles, each may: they may clean each content one by one, too. */
  mayAnonymize(metadata: Metadata): boolean;
  /** Reads the file anew when it changed. */
  component: Component;
}

/** A token that was withdrawn is refused at most this much later. */
const rereadMs = 2_000;

/** Who calls, by the tokens of `auth.tokensFile`; without it `privacy.exemptAllowed` holds for all. */
export function createCallers(config: GatewayConfig, { log, clock }: Runtime): Callers {
  const { auth, privacy, grpc } = config;
  if (auth === undefined) {
    return {
      check: undefined,
      mayExempt: () => privacy.exemptAllowed,
      mayAnonymize: () => true,
      component: { name: "callers" },
    };
  }
  if (privacy.exemptAllowed) {
    throw new CodedError(
      "invalid_argument",
      "read config: privacy.exemptAllowed stands for no role with auth",
      {
        field: "privacy.exemptAllowed",
        remedy: "Leave it out, and give the role privacy to a token.",
      },
    );
  }
  if (grpc.tls === undefined) log.warn("tokens travel in the clear to gateway: grpc.tls is not set");
  let table = readTokenFile(auth.tokensFile);
  let told = "";
  const reread = (): void => {
    try {
      const next = readTokenFile(auth.tokensFile);
      told = "";
      if (next.text === table.text) return;
      table = next;
      log.info("tokens read anew");
    } catch (caught) {
      const error = String(caught);
      if (error !== told) log.error("the tokens' file is bad, the old ones are kept", { error });
      told = error;
    }
  };
  const callerOf = (metadata: Metadata): Caller | undefined => {
    const token = bearerOf(metadata);
    return token === undefined ? undefined : table.callerOf(token);
  };
  const isPrivacy = (metadata: Metadata): boolean => callerOf(metadata)?.role === "privacy";
  return {
    check: ({ path, metadata }) => (callerOf(metadata) === undefined ? refusal(path, metadata) : undefined),
    mayExempt: isPrivacy,
    mayAnonymize: isPrivacy,
    component: rereading(reread, clock),
  };
}

function rereading(reread: () => void, clock: Runtime["clock"]): Component {
  const stopped = new AbortController();
  let running: Promise<void> | undefined;
  return {
    name: "callers",
    start: async () => {
      running = (async () => {
        while (!stopped.signal.aborted) {
          await clock.sleep(rereadMs, stopped.signal);
          reread();
        }
      })();
    },
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
}

/** Undefined where there is none, or more than one. */
function bearerOf(metadata: Metadata): string | undefined {
  const [header, ...others] = metadata.get("authorization");
  if (typeof header !== "string" || others.length > 0) return undefined;
  return /^Bearer +(\S+)$/i.exec(header)?.[1];
}

function refusal(path: string, metadata: Metadata): CodedError {
  const what = metadata.get("authorization").length === 0 ? "no token" : "the token is not known";
  return new CodedError("unauthenticated", `call ${path}: ${what}`, {
    field: "authorization",
    remedy: "Send authorization: Bearer <token>, with a token that gateway's auth.tokensFile lists.",
  });
}
