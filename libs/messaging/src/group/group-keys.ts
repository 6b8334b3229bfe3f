import { createHash } from "node:crypto";
import type { Group } from "@millrace/proto/group";

/** Which group: streams are named within a tenant, groups within a stream. */
export interface GroupOf {
  tenant: string;
  stream: string;
  group: string;
}

/** Its key in CONFIG. */
export const groupKey = ({ tenant, stream, group }: GroupOf): string => `group.${tenant}.${stream}.${group}`;

/**
 * Its durable on RESULT: 37 characters, whatever the names are. A stream or a group that was deleted and made
 * again has another one, so that what is left of the first one is never taken for its own.
 */
export function groupDurable(tenant: string, { stream, name, streamCreatedMs, createdMs }: Group): string {
  const named = JSON.stringify([tenant, stream, streamCreatedMs, name, createdMs]);
  return `group-${createHash("sha256").update(named).digest("hex").slice(0, 31)}`;
}
