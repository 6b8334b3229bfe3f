import type { API, Callback, Connection } from "@platformatic/kafka";

type Given<Arguments extends unknown[], Response> = [Connection, ...Arguments, Callback<Response>];

/** A request like `api` whose errors are looked at, and may be exchanged, before the client sees them. */
export function withFailedAnswers<Arguments extends unknown[], Response>(
  api: API<Arguments, Response>,
  onError: (error: Error, given: readonly unknown[]) => Error,
): API<Arguments, Response> {
  const call = api as (...given: Given<Arguments, Response>) => void;
  const wrapped = (...given: unknown[]): void => {
    const done = given.pop() as Callback<Response>;
    const answered: Callback<Response> = (error, response) =>
      error === null ? done(null, response) : done(onError(error, given), response);
    call(...([...given, answered] as Given<Arguments, Response>));
  };
  return Object.assign(wrapped, { async: api.async, key: api.key, version: api.version });
}
