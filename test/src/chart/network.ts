/**
 * What NetworkPolicies allow, worked out by the rules of the Kubernetes API, for clusters whose network does
 * not enforce them:
 *
 *     a connection passes   ⇔ its sender may send it and its receiver may receive it
 *     a pod may receive it  ⇔ no policy of type Ingress selects the pod, or a rule of one that does matches
 *     a rule matches        ⇔ one of its peers does (none given: anybody) and one of its ports (none: any)
 *     a peer matches        ⇔ namespace and pod selectors both do; without a namespace selector only pods of
 *                             the policy's own namespace; an ipBlock only addresses outside of the cluster
 */
import type { KubeObject } from "./objects.js";

/** An end of a connection: a pod, or an address outside when `labels` is absent. */
export interface Party {
  name: string;
  namespace?: string;
  namespaceLabels?: Record<string, string>;
  labels?: Record<string, string>;
  /** IPv4, of an end outside of the cluster. */
  address?: string;
  /** Container ports by name, since policies may name them. */
  ports?: Record<string, number>;
}

export interface Port {
  port: number;
  protocol?: "TCP" | "UDP";
}

interface Requirement {
  key: string;
  operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  values?: string[];
}

interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: Requirement[];
}

interface Peer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
  ipBlock?: { cidr: string; except?: string[] };
}

interface Rule {
  from?: Peer[];
  to?: Peer[];
  ports?: { port?: number | string; endPort?: number; protocol?: string }[];
}

interface PolicySpec {
  podSelector?: Selector;
  policyTypes?: string[];
  ingress?: Rule[];
  egress?: Rule[];
}

export function isAllowed(
  objects: readonly KubeObject[],
  connection: { from: Party; to: Party; port: Port; namespace: string },
): boolean {
  const { from, to, port, namespace } = connection;
  const policies = objects
    .filter(({ kind }) => kind === "NetworkPolicy")
    .map(({ metadata, spec }) => ({ namespace: metadata.namespace ?? namespace, spec: spec as PolicySpec }));
  const passes = (subject: Party, peer: Party, type: "Ingress" | "Egress"): boolean => {
    if (subject.labels === undefined) return true;
    const selecting = policies.filter(
      ({ namespace: own, spec }) =>
        own === subject.namespace &&
        typesOf(spec).includes(type) &&
        selects(spec.podSelector, subject.labels),
    );
    if (selecting.length === 0) return true;
    return selecting.some(({ namespace: own, spec }) =>
      (type === "Ingress" ? (spec.ingress ?? []) : (spec.egress ?? [])).some(
        (rule) =>
          matchesPeer(type === "Ingress" ? rule.from : rule.to, peer, own) &&
          matchesPort(rule.ports, port, to),
      ),
    );
  };
  return passes(from, to, "Egress") && passes(to, from, "Ingress");
}

/** As the API server fills it in: Ingress always, Egress where rules of it are given. */
function typesOf(spec: PolicySpec): string[] {
  return spec.policyTypes ?? (spec.egress === undefined ? ["Ingress"] : ["Ingress", "Egress"]);
}

function matchesPeer(peers: Peer[] | undefined, party: Party, namespace: string): boolean {
  if (peers === undefined || peers.length === 0) return true;
  return peers.some(({ ipBlock, namespaceSelector, podSelector }) => {
    if (ipBlock !== undefined) return party.address !== undefined && inBlock(party.address, ipBlock);
    if (party.labels === undefined) return false;
    const near = namespaceSelector === undefined && party.namespace === namespace;
    const inNamespace =
      near || (namespaceSelector !== undefined && selects(namespaceSelector, namespaceOf(party)));
    return inNamespace && selects(podSelector, party.labels);
  });
}

/** Every namespace bears its own name as a label. */
function namespaceOf({ namespace = "", namespaceLabels = {} }: Party): Record<string, string> {
  return { "kubernetes.io/metadata.name": namespace, ...namespaceLabels };
}

function matchesPort(ports: Rule["ports"], wanted: Port, to: Party): boolean {
  if (ports === undefined || ports.length === 0) return true;
  return ports.some(({ port, endPort, protocol = "TCP" }) => {
    if (protocol !== (wanted.protocol ?? "TCP")) return false;
    const first = typeof port === "string" ? to.ports?.[port] : port;
    if (port === undefined) return true;
    return first !== undefined && wanted.port >= first && wanted.port <= (endPort ?? first);
  });
}

function selects(selector: Selector | undefined, labels: Record<string, string> | undefined): boolean {
  if (labels === undefined) return false;
  const equal = Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return equal && (selector?.matchExpressions ?? []).every((requirement) => meets(requirement, labels));
}

function meets({ key, operator, values = [] }: Requirement, labels: Record<string, string>): boolean {
  const value = labels[key];
  if (operator === "Exists") return value !== undefined;
  if (operator === "DoesNotExist") return value === undefined;
  const listed = value !== undefined && values.includes(value);
  return operator === "In" ? listed : !listed;
}

function inBlock(address: string, { cidr, except = [] }: { cidr: string; except?: string[] }): boolean {
  return inCidr(address, cidr) && !except.some((block) => inCidr(address, block));
}

function inCidr(address: string, cidr: string): boolean {
  const [base = "", length = "32"] = cidr.split("/");
  const divisor = 2 ** (32 - Number(length));
  return Math.floor(numberOf(address) / divisor) === Math.floor(numberOf(base) / divisor);
}

function numberOf(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
