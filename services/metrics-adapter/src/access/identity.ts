import { CodedError } from "@millrace/errors";
import type { ProxySettings } from "./proxy-settings.js";

/** For whom the API server asks. */
export interface User {
  name: string;
  uid: string | undefined;
  groups: readonly string[];
  extra: Readonly<Record<string, string[]>>;
}

/** What TLS knows of the other side. */
export interface Peer {
  /** Its certificate; undefined: it presented none. */
  commonName: string | undefined;
  /** It is of the CA in force. */
  isVerified: boolean;
}

/** By name in lower case, each value apart: a group may have a comma in its name. */
export type Headers = Readonly<Record<string, readonly string[] | undefined>>;

const remedy = "Ask the API server, which asks here in your name.";

/**
 * Only the API server is believed, and only by its certificate: headers of anybody else say nothing. Nobody
 * else is known here, so tokens and certificates of users are refused. Errors: `unauthenticated`.
 */
export function identify(peer: Peer, headers: Headers, settings: ProxySettings): User {
  if (peer.commonName === undefined) throw refused("no client certificate was presented");
  if (!peer.isVerified) throw refused("the client certificate is of another CA");
  const { allowedNames } = settings;
  if (allowedNames.length > 0 && !allowedNames.includes(peer.commonName))
    throw refused("the client certificate is not that of the API server");
  const name = first(headers, settings.userHeaders);
  if (name === undefined) throw refused("the API server does not say for whom it asks");
  return {
    name,
    uid: first(headers, settings.uidHeaders),
    groups: settings.groupHeaders.flatMap((header) => headers[header] ?? []),
    extra: extraOf(headers, settings.extraPrefixes),
  };
}

function first(headers: Headers, names: readonly string[]): string | undefined {
  return names.flatMap((name) => headers[name] ?? []).find((value) => value !== "");
}

function extraOf(headers: Headers, prefixes: readonly string[]): Record<string, string[]> {
  const extra: [string, string[]][] = [];
  for (const [header, value] of Object.entries(headers)) {
    const prefix = prefixes.find((each) => header.startsWith(each));
    if (prefix !== undefined) extra.push([unescaped(header.slice(prefix.length)), [...(value ?? [])]]);
  }
  return Object.fromEntries(extra);
}

/** Keys are percent-encoded in names of headers; one that is not stands as it is. */
function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

function refused(problem: string): CodedError {
  return new CodedError("unauthenticated", problem, { remedy });
}
