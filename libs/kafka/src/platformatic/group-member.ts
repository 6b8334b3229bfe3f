import { type API, type Callback, Consumer, type ConsumerOptions, kGetApi } from "@platformatic/kafka";
import { overEpoch } from "../over-epoch.js";
import { withFailedAnswers } from "./failed-answers.js";

export interface JoinHooks {
  /** Awaited before the group is joined, the first time or again; not joined where it rejects. */
  beforeJoin(): Promise<void>;
}

type Bytes = ConsumerOptions<Buffer, Buffer, Buffer, Buffer>;

/**
 * The client asks its own method for every request by name. There we make it wait before it joins, so that
 * what must be committed still can be; and keep it from joining again and committing under the new
 * assignment, where a commit came too late for the old one.
 */
export class GroupMember extends Consumer {
  readonly #hooks: JoinHooks;

  constructor(options: Bytes, hooks: JoinHooks) {
    super(options);
    this.#hooks = hooks;
  }

  override [kGetApi]<Arguments extends unknown[], Response>(
    name: string,
    callback: Callback<API<Arguments, Response>>,
  ): void {
    const proceed = (): void => {
      super[kGetApi]<Arguments, Response>(name, (error, api) => {
        if (error !== null || api === undefined || name !== "OffsetCommit") callback(error, api);
        else
          callback(
            null,
            withFailedAnswers(api, (failure) => (isOver(failure) ? overEpoch() : failure)),
          );
      });
    };
    if (name === "JoinGroup") void this.#hooks.beforeJoin().then(proceed, callback);
    else proceed();
  }
}

function isOver(error: Error): boolean {
  const { findBy } = error as { findBy?(property: string, value: unknown): unknown };
  return findBy !== undefined && findBy.call(error, "needsRejoin", true) !== null;
}
