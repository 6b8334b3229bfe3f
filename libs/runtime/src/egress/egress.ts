import { lookup as lookupAll, type LookupAddress } from "node:dns";
import { type BlockList, isIP, type LookupFunction } from "node:net";
import { rootCertificates } from "node:tls";
import { CodedError } from "@millrace/errors";
import { readCertificates } from "../tls/tls-files.js";
import { blockList, isLinkLocal, isListed, isPublic } from "./public-address.js";

/**
 * What may be reached at the wish of a user who names a URL: public hosts over TLS, and what the operator
 * allows. A host is resolved once, and the connection goes to the addresses that were checked: another answer
 * a moment later changes nothing. Whoever connects follows no redirects: each is a URL to check.
 *
 *   url ─► scheme, no credentials ─► resolve ─► every address public or allowed ─► lookup that answers these
 */
export interface Egress {
  /** Refuses what no answer of a resolver can make right: for settings, when they are given. */
  check(url: string, field?: string): URL;
  /** Resolves the URL's host and checks each of its addresses. */
  resolve(url: string, field?: string): Promise<EgressTarget>;
  /** The same for a host and a port without a URL; `isPlain`: without TLS. */
  resolveHost(of: { host: string; isPlain: boolean }, field?: string): Promise<readonly LookupAddress[]>;
}

export interface EgressTarget {
  url: URL;
  addresses: readonly LookupAddress[];
  /**
   * For `https.request`, `tls.connect` or a WebSocket, with `agent: false`: answers with the checked
   * addresses whatever it is asked.
   */
  lookup: LookupFunction;
  /** Who is trusted, in PEM; undefined: the public CAs. */
  ca: string[] | undefined;
}

export interface EgressOptions {
  /** Names of hosts, addresses and networks (`10.1.0.0/16`), as in the config. */
  allow: readonly string[];
  /** Certificates of CAs that are trusted besides the public ones, in PEM. */
  caFile?: string | undefined;
  /** All addresses of a host. Default: as the system resolves names. */
  resolveName?: (host: string) => Promise<readonly LookupAddress[]>;
}

const schemes: Readonly<Record<string, "tls" | "plain">> = {
  "https:": "tls",
  "wss:": "tls",
  "http:": "plain",
  "ws:": "plain",
};
const urlCharsMax = 2_048;

export function createEgress({ allow, caFile, resolveName = systemResolve }: EgressOptions): Egress {
  const own = caFile === undefined ? undefined : readCertificates(caFile, "egress.caFile").toString("latin1");
  const ca = own === undefined ? undefined : [...rootCertificates, own];
  const networks = allow.map(networkOf).filter((range) => range !== undefined);
  const rules: Rules = {
    networks: blockList(networks),
    names: new Set(allow.filter((entry) => networkOf(entry) === undefined).map(plainName)),
  };

  const check = (url: string, field = "url"): URL => {
    const parsed = parseUrl(url, field);
    const host = hostOf(parsed);
    const isPlain = schemes[parsed.protocol] === "plain";
    // Of a name that is not listed the addresses decide, once they are known.
    if (isIP(host) !== 0) checkAddresses(rules, { host, isPlain, addresses: [addressOf(host)] }, field);
    return parsed;
  };

  const resolveHost: Egress["resolveHost"] = async ({ host, isPlain }, field = "url") => {
    const addresses = isIP(host) !== 0 ? [addressOf(host)] : await resolved(host, resolveName, field);
    checkAddresses(rules, { host, isPlain, addresses }, field);
    return addresses;
  };

  return {
    check,
    resolveHost,
    resolve: async (given, field = "url") => {
      const url = check(given, field);
      const isPlain = schemes[url.protocol] === "plain";
      const addresses = await resolveHost({ host: hostOf(url), isPlain }, field);
      return { url, addresses, lookup: fixedLookup(addresses), ca };
    },
  };
}

interface Rules {
  networks: BlockList;
  names: ReadonlySet<string>;
}

interface Asked {
  host: string;
  isPlain: boolean;
  addresses: readonly LookupAddress[];
}

/** One address that may not be reached refuses them all: whoever mixes them means no good. */
function checkAddresses(
  { networks, names }: Rules,
  { host, isPlain, addresses }: Asked,
  field: string,
): void {
  const isNamed = names.has(plainName(host));
  let isAllowed = true;
  for (const { address } of addresses) {
    const isInNetwork = isListed(networks, address);
    if (isInNetwork || (isNamed && !isLinkLocal(address))) continue;
    isAllowed = false;
    // Which address it has is not told: that would let a user map the network behind us.
    if (!isPublic(address)) {
      throw new CodedError("permission_denied", `check ${field}: ${host} is not a public host`, {
        field,
        remedy: "Use a public host, or let the operator add it to egress.allowPrivate.",
      });
    }
  }
  if (isPlain && !isAllowed) {
    throw new CodedError("permission_denied", `check ${field}: ${host} is reached without TLS`, {
      field,
      remedy: "Use https or wss, or let the operator add the host to egress.allowPrivate.",
    });
  }
}

function parseUrl(given: string, field: string): URL {
  const bad = (problem: string, remedy: string): CodedError =>
    new CodedError("invalid_argument", `check ${field}: the URL ${problem}`, { field, remedy });
  if (given.length > urlCharsMax) {
    throw bad(`is longer than ${urlCharsMax} characters`, "Use a shorter one.");
  }
  if (!URL.canParse(given)) {
    throw bad("cannot be read", "Write it as https://host/path or wss://host/path.");
  }
  const url = new URL(given);
  if (schemes[url.protocol] === undefined) {
    throw bad(`has the scheme ${url.protocol.slice(0, 32)}`, "Use https or wss.");
  }
  if (url.username !== "" || url.password !== "") {
    throw bad("holds credentials", "Send them in a header whose value is a secret's name.");
  }
  if (url.hash !== "") throw bad("has a fragment", "Leave out what follows the #.");
  return url;
}

async function resolved(
  host: string,
  resolveName: NonNullable<EgressOptions["resolveName"]>,
  field: string,
): Promise<readonly LookupAddress[]> {
  let addresses: readonly LookupAddress[] = [];
  try {
    addresses = await resolveName(host);
  } catch (cause) {
    throw unresolved(host, field, cause);
  }
  if (addresses.length === 0) throw unresolved(host, field);
  return addresses;
}

function unresolved(host: string, field: string, cause?: unknown): CodedError {
  return new CodedError("unavailable", `resolve ${field}: ${host} has no address`, {
    field,
    remedy: "Correct the host's name, or see to its name service.",
    cause,
  });
}

const systemResolve = (host: string): Promise<LookupAddress[]> =>
  new Promise((resolve, reject) => {
    lookupAll(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)));
  });

function fixedLookup(addresses: readonly LookupAddress[]): LookupFunction {
  return (_host, options, callback) => {
    const wanted = addresses.filter(({ family }) => !options.family || family === familyOf(options.family));
    const [first] = wanted;
    if (first === undefined) {
      callback(Object.assign(new Error("no address of that family"), { code: "ENOTFOUND" }), "", 0);
    } else if (options.all === true) callback(null, wanted);
    else callback(null, first.address, first.family);
  };
}

const familyOf = (family: number | "IPv4" | "IPv6"): number =>
  family === "IPv4" ? 4 : family === "IPv6" ? 6 : family;

const hostOf = ({ hostname }: URL): string => (hostname.startsWith("[") ? hostname.slice(1, -1) : hostname);

const addressOf = (host: string): LookupAddress => ({ address: host, family: isIP(host) });

const plainName = (host: string): string => host.toLowerCase().replace(/\.$/, "");

/** An address or a network as a range; undefined for what is a name. */
function networkOf(entry: string): string | undefined {
  const [network = "", bits, ...more] = entry.split("/");
  const family = isIP(network);
  if (family === 0 || more.length > 0) return undefined;
  if (bits === undefined) return entry;
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128) ? entry : undefined;
}

/** What `egress.allowPrivate` may list: an address, a network, or a name. */
export const isAllowEntry = (entry: string): boolean =>
  networkOf(entry) !== undefined ||
  (entry.length <= 253 && /^(?!\d+(\.\d+)*$)[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_-]+)*$/i.test(entry));
