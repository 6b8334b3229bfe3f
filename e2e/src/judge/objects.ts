import type { KubeObject } from "../cluster/kubectl.js";

/** Made and changed by controllers all the time, whatever Helm does. */
const ofControllers = new Set([
  "ControllerRevision",
  "EndpointSlice",
  "Endpoints",
  "Event",
  "Lease",
  "Pod",
  "PodMetrics",
]);

/**
 * Objects that an upgrade without a change has changed. Where a controller writes the status, the version
 * says nothing: such objects are compared by content, all others by resourceVersion too.
 */
export function findChanged(before: readonly KubeObject[], after: readonly KubeObject[]): string[] {
  const old = index(before);
  const now = index(after);
  if (old.size === 0) return ["there were no objects to compare"];
  const gone = [...old.keys()].filter((name) => !now.has(name)).map((name) => `${name} is gone`);
  const changed = [...now].flatMap(([name, object]) => {
    const was = old.get(name);
    if (was === undefined) return [`${name} is new`];
    if (was.metadata.uid !== object.metadata.uid) return [`${name} was made anew`];
    if (content(was) !== content(object)) return [`${name} has changed`];
    const isSame =
      object.status !== undefined || was.metadata.resourceVersion === object.metadata.resourceVersion;
    return isSame ? [] : [`${name} was written`];
  });
  return [...gone, ...changed];
}

function index(objects: readonly KubeObject[]): Map<string, KubeObject> {
  return new Map(
    objects.filter(({ kind }) => !ofControllers.has(kind)).map((object) => [nameOf(object), object]),
  );
}

export function nameOf({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.name}`;
}

function content(object: KubeObject): string {
  const { status: _status, ...rest } = object;
  const { resourceVersion: _version, ...metadata } = object.metadata;
  return JSON.stringify({ ...rest, metadata: { ...metadata, managedFields: undefined } });
}

/**
 * What an uninstall leaves though nothing says that it should: documented to stay are claims (data) and what
 * bears Helm's annotation to be kept.
 */
export function findLeftovers(left: readonly KubeObject[]): string[] {
  return left
    .filter(({ kind, metadata }) => {
      const isKept = metadata.annotations?.["helm.sh/resource-policy"] === "keep";
      return !isKept && kind !== "PersistentVolumeClaim" && !ofControllers.has(kind);
    })
    .map(nameOf)
    .concat(left.filter(({ kind }) => kind === "Pod").map(nameOf));
}
