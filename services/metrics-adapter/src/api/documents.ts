import { metricNames } from "./metric-query.js";

/** The API that is served; of its one version. */
export const group = "external.metrics.k8s.io";
export const version = "v1beta1";
export const groupVersion = `${group}/${version}`;

const groupDocument = {
  name: group,
  versions: [{ groupVersion, version }],
  preferredVersion: { groupVersion, version },
};

/** By path: what clients read to find out what is served here. */
export const documents: ReadonlyMap<string, object> = new Map<string, object>([
  ["/apis", { kind: "APIGroupList", apiVersion: "v1", groups: [groupDocument] }],
  [`/apis/${group}`, { kind: "APIGroup", apiVersion: "v1", ...groupDocument }],
  [
    `/apis/${groupVersion}`,
    {
      kind: "APIResourceList",
      apiVersion: "v1",
      groupVersion,
      resources: metricNames.map((name) => ({
        name,
        singularName: "",
        namespaced: true,
        kind: "ExternalMetricValueList",
        verbs: ["get"],
      })),
    },
  ],
  // The aggregator merges schemas of types: nothing here is created or explained by one.
  ["/openapi/v2", { swagger: "2.0", info: { title: "millrace metrics-adapter", version }, paths: {} }],
  ["/openapi/v3", { paths: {} }],
]);

/**
 * Whether the caller takes plain JSON. What asks for a list of another form by `as=` gets another try, as of
 * every server that does not know that form.
 */
export function takesJson(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === "") return true;
  return accept.split(",").some((range) => {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    if (parameters.some((parameter) => parameter.startsWith("as="))) return false;
    return ["application/json", "application/*", "*/*"].includes(type);
  });
}
