import { createTurnOrder } from "@millrace/messaging";
import type { Sentiment } from "./sentiment-head.js";
import type { TextKind } from "./text-model.js";

/**
 * Who goes first: somebody who waits (a search), then the high lane, then the batch lane. None is starved:
 * see `createTurnOrder`.
 */
export type Priority = "interactive" | "high" | "bulk";

export const priorities: readonly Priority[] = ["interactive", "high", "bulk"];

/** A call to the pool: several texts, answered as a whole. */
export interface Request {
  texts: readonly string[];
  kind: TextKind;
  sentiment: boolean;
  priority: Priority;
  /** Indexes of `texts` that nobody has begun, the next one last. */
  waiting: number[];
  /** Texts without an answer, waiting or in work. */
  open: number;
  vectors: Float32Array;
  sentiments: Sentiment[];
  /** Once true, answers still to come are thrown away. */
  isSettled: boolean;
  /** Told when a text was answered that is its own, or that others wait behind as it does. */
  goesOn?: (() => void) | undefined;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** One text of a request, on its way through a worker. */
export interface TextTask {
  request: Request;
  index: number;
  /** Deliveries to a worker so far, this one included. */
  attempts: number;
}

export interface TextQueue {
  /** Texts that wait, of one priority. */
  size(priority: Priority): number;
  push(request: Request): void;
  /** The next text: by priority and age of the lanes, requests in their order of arrival. */
  take(): TextTask | undefined;
  /** Puts a text that a dying worker held back at the very front. */
  putBack(task: TextTask): void;
  /** Drops what a settled request still has waiting. */
  forget(request: Request): void;
  requests(): Request[];
}

/** Requests wait whole and are taken apart text by text, so that two workers share one request. */
export function textQueue(): TextQueue {
  const lanes: Record<Priority, Set<Request>> = {
    interactive: new Set(),
    high: new Set(),
    bulk: new Set(),
  };
  const returned: TextTask[] = [];
  const order = createTurnOrder(priorities.length);
  const takeFrom = (lane: Set<Request>): TextTask | undefined => {
    for (const request of lane) {
      const index = request.waiting.pop();
      if (request.waiting.length === 0) lane.delete(request);
      if (index !== undefined) return { request, index, attempts: 1 };
    }
    return undefined;
  };
  return {
    size: (priority) => {
      let texts = 0;
      for (const request of lanes[priority]) texts += request.waiting.length;
      return texts;
    },
    push: (request) => void lanes[request.priority].add(request),
    take: () => {
      const first = returned.shift();
      if (first !== undefined) return first;
      const priority = priorities[order.next(priorities.map((each) => lanes[each].size > 0))];
      return priority === undefined ? undefined : takeFrom(lanes[priority]);
    },
    putBack: (task) => void returned.push({ ...task, attempts: task.attempts + 1 }),
    forget: (request) => {
      lanes[request.priority].delete(request);
      for (let i = returned.length - 1; i >= 0; i--)
        if (returned[i]?.request === request) returned.splice(i, 1);
    },
    requests: () => [
      ...new Set([
        ...returned.map(({ request }) => request),
        ...lanes.interactive,
        ...lanes.high,
        ...lanes.bulk,
      ]),
    ],
  };
}
