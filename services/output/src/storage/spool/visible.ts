import type { Disk } from "./disk.js";
import type { Layout } from "./layout.js";

export interface VisibleName {
  name: string;
  /** Of the folder that it lies in; undefined: in that of the stream. */
  day: string | undefined;
}

/** The names in a stream's directory and, below it, in those of days, which hold Parquet. */
export async function listVisible(of: { disk: Disk; layout: Layout }): Promise<VisibleName[]> {
  const { disk, layout } = of;
  const top = await disk.readdir(layout.streamDir);
  const visible: VisibleName[] = top.map((name) => ({ name, day: undefined }));
  for (const name of top) {
    const day = /^date=(\d{4}-\d{2}-\d{2})$/.exec(name)?.[1];
    if (day === undefined) continue;
    for (const each of await disk.readdir(layout.partDir(day))) visible.push({ name: each, day });
  }
  return visible;
}
