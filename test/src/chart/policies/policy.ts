import type { KubeObject } from "../objects.js";

/** A rule that every rendering keeps. */
export interface Policy {
  name: string;
  /** What breaks it: the object and the field. */
  find: (objects: readonly KubeObject[]) => string[];
  /** Renderings that break it, made of a sound one by a change in place; each must be found. */
  broken: Record<string, (objects: KubeObject[]) => void>;
}
