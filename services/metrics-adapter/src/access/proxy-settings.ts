import { CodedError } from "@millrace/errors";

/** How the API server says for whom it asks, as the cluster publishes it for aggregated servers. */
export interface ProxySettings {
  /** CA of the certificates by which the API server is known, in PEM. */
  ca: string;
  /** Common names that may say for whom they ask. None: all of that CA. */
  allowedNames: readonly string[];
  userHeaders: readonly string[];
  uidHeaders: readonly string[];
  groupHeaders: readonly string[];
  extraPrefixes: readonly string[];
}

/** Where the cluster publishes it. */
export const settingsPlace = { namespace: "kube-system", name: "extension-apiserver-authentication" };

/** Errors: `unavailable`, naming what is missing: a cluster without aggregation has none of it. */
export function parseProxySettings(data: Readonly<Record<string, string>>): ProxySettings {
  const ca = data["requestheader-client-ca-file"];
  if (ca === undefined || ca.trim() === "") throw missing("requestheader-client-ca-file");
  const userHeaders = names(data, "requestheader-username-headers");
  if (userHeaders.length === 0) throw missing("requestheader-username-headers");
  const lower = (key: string): string[] => names(data, key).map((name) => name.toLowerCase());
  return {
    ca,
    allowedNames: names(data, "requestheader-allowed-names"),
    userHeaders: lower("requestheader-username-headers"),
    uidHeaders: lower("requestheader-uid-headers"),
    groupHeaders: lower("requestheader-group-headers"),
    extraPrefixes: lower("requestheader-extra-headers-prefix"),
  };
}

function names(data: Readonly<Record<string, string>>, key: string): string[] {
  const text = data[key];
  if (text === undefined || text === "") return [];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((name) => typeof name === "string")) return list;
  } catch {
    // Told below, as what is JSON of another form is.
  }
  throw new CodedError("unavailable", `${settingsPlace.name}: ${key} is no list of names`);
}

function missing(key: string): CodedError {
  return new CodedError("unavailable", `${settingsPlace.name}: ${key} is missing`, {
    remedy: "Switch on the aggregation layer of the API server (--requestheader-client-ca-file and others).",
  });
}
