import type { PlantedItem } from "@millrace/examples";
import type { Collected } from "./collector.js";

export interface PlantedCheck {
  planted: number;
  found: number;
  /** What was missed, without its value. */
  missed: string[];
}

/** Every planted item must be gone from where it was, and named by a finding of its type in its place. */
export function checkPlanted(
  items: readonly PlantedItem[],
  byId: ReadonlyMap<string, Collected>,
): PlantedCheck {
  const missed = items.filter((item) => !isFound(item, items, byId.get(item.id)));
  return {
    planted: items.length,
    found: items.length - missed.length,
    missed: missed.map(({ id, field, type }) => `${type} in ${field} of ${id}`),
  };
}

function isFound(
  item: PlantedItem,
  items: readonly PlantedItem[],
  collected: Collected | undefined,
): boolean {
  if (collected === undefined) return false;
  const inText = item.field === "text";
  const visible = inText ? collected.text : collected.message.sourceId;
  if (visible.includes(item.value)) return false;
  const place = inText ? "body" : "name";
  const findings = collected.message.findings.filter(
    (finding) => finding.place === place && finding.type === item.type,
  );
  const planted = items.filter(
    ({ id, field, type }) => id === item.id && field === item.field && type === item.type,
  );
  return findings.length >= planted.length;
}
