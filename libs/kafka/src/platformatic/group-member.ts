import {
  type API,
  type Callback,
  type Connection,
  Consumer,
  type ConsumerOptions,
  kGetApi,
} from "@platformatic/kafka";
import { overEpoch } from "../over-epoch.js";

export interface JoinHooks {
  /** Awaited before the group is joined, the first time or again. */
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
        else callback(null, withoutRejoin(api));
      });
    };
    if (name === "JoinGroup") void this.#hooks.beforeJoin().then(proceed, proceed);
    else proceed();
  }
}

type Given<Arguments extends unknown[], Response> = [Connection, ...Arguments, Callback<Response>];

function withoutRejoin<Arguments extends unknown[], Response>(
  api: API<Arguments, Response>,
): API<Arguments, Response> {
  const call = api as (...given: Given<Arguments, Response>) => void;
  const commit = (...given: unknown[]): void => {
    const done = given.pop() as Callback<Response>;
    const answered: Callback<Response> = (error, response) =>
      isOver(error) ? done(overEpoch()) : done(error, response);
    call(...([...given, answered] as Given<Arguments, Response>));
  };
  return Object.assign(commit, { async: api.async, key: api.key, version: api.version });
}

function isOver(error: Error | null): boolean {
  const findBy = (error as { findBy?(property: string, value: unknown): unknown } | null)?.findBy;
  return findBy !== undefined && findBy.call(error, "needsRejoin", true) !== null;
}
