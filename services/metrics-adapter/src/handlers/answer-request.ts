import { identify, type Headers, type Peer, type User } from "../access/identity.js";
import type { ProxySettings } from "../access/proxy-settings.js";
import type { Attributes, Verdict } from "../access/reviews.js";
import { documents, group, takesJson, version } from "../api/documents.js";
import { errorReply, type Reply, statusReply } from "../api/reply.js";
import type { MetricRequest } from "./get-metric.js";

export interface AnswerParts {
  /** Errors: `unavailable`. */
  settings(): ProxySettings;
  judge(user: User, attributes: Attributes): Promise<Verdict>;
  getMetric(request: MetricRequest): Promise<Reply>;
  /** Sentences of what is not well. */
  unwell(): readonly string[];
  /** Told of what is no fault of the caller. */
  onFault(caught: unknown): void;
}

export interface ApiRequest {
  method: string;
  /** Path and query. */
  url: string;
  headers: Headers;
  peer: Peer;
}

/** A request of the API server: who, whether they may, and then what. */
export const answerRequest =
  (parts: AnswerParts) =>
  async (request: ApiRequest): Promise<Reply> => {
    try {
      const [path = "/", query = ""] = request.url.split("?", 2);
      return healthReply(path, parts) ?? (await answerKnown(request, { path, query }, parts));
    } catch (caught) {
      const reply = errorReply(caught);
      if (reply.status === 500) parts.onFault(caught);
      return reply;
    }
  };

/** For probes, which present nothing: it tells no more than whether this is well. */
function healthReply(path: string, { unwell }: AnswerParts): Reply | undefined {
  if (path === "/livez" || path === "/healthz") return { status: 200, body: "ok" };
  if (path !== "/readyz") return undefined;
  return unwell().length === 0 ? { status: 200, body: "ok" } : { status: 503, body: "not ready" };
}

async function answerKnown(
  request: ApiRequest,
  { path, query }: { path: string; query: string },
  parts: AnswerParts,
): Promise<Reply> {
  const user = identify(request.peer, request.headers, parts.settings());
  const metric = metricOf(path);
  const parameters = new URLSearchParams(query);
  const attributes = attributesOf(request.method, path, metric, parameters);
  const { allowed, reason } = await parts.judge(user, attributes);
  if (!allowed) return statusReply(403, forbidden(user, attributes, reason));
  if (request.method !== "GET")
    return statusReply(405, `${request.method} is not served: metrics are read only`);
  if (isWatch(parameters)) return statusReply(405, "metrics can't be watched: read them again");
  if (!takesJson(request.headers["accept"]?.join(",")))
    return statusReply(406, "only application/json is served");
  if (metric !== undefined) {
    return parts.getMetric({ ...metric, selector: parameters.get("labelSelector") ?? "" });
  }
  const document = documents.get(path);
  return document === undefined
    ? statusReply(404, `there is nothing at ${path}`)
    : { status: 200, body: document };
}

const metricPath = new RegExp(
  `^/apis/${group.replaceAll(".", "\\.")}/${version}/namespaces/([^/]+)/([^/]+)$`,
);

function metricOf(path: string): { namespace: string; metric: string } | undefined {
  const [, namespace, metric] = metricPath.exec(path) ?? [];
  return namespace === undefined || metric === undefined ? undefined : { namespace, metric };
}

const verbs: Readonly<Record<string, string>> = {
  GET: "list",
  HEAD: "list",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "deletecollection",
};

const isWatch = (query: URLSearchParams): boolean => /^(1|true)$/i.test(query.get("watch") ?? "");

/** As API servers name it: a metric is a resource that is listed, all else is a path. */
function attributesOf(
  method: string,
  path: string,
  metric: { namespace: string; metric: string } | undefined,
  query: URLSearchParams,
): Attributes {
  if (metric === undefined) return { path, verb: method.toLowerCase() };
  const verb = method === "GET" && isWatch(query) ? "watch" : (verbs[method] ?? method.toLowerCase());
  return { namespace: metric.namespace, verb, group, version, resource: metric.metric };
}

function forbidden(user: User, attributes: Attributes, reason: string): string {
  const what =
    "path" in attributes
      ? `${attributes.verb} path "${attributes.path}"`
      : `${attributes.verb} resource "${attributes.resource}" in API group "${group}" in the namespace ` +
        `"${attributes.namespace}"`;
  return `User "${user.name}" cannot ${what}${reason === "" ? "" : `: ${reason}`}`;
}
