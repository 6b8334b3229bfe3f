import { randomUUID } from "node:crypto";
import { assert } from "@millrace/errors";
import type { Source, Value, WebSocketSource } from "@millrace/proto/source";
import type { Egress, Runtime, Secrets } from "@millrace/runtime";
import type { SourceGap } from "../source/source-gaps.js";
import type { SourceKind } from "../source/source-reader.js";
import { createWebsocketSource, type Prepared } from "./websocket-source.js";

export interface WebsocketKindParts {
  egress: Egress;
  secrets: Secrets;
  runtime: Pick<Runtime, "clock" | "random">;
  tellGap(of: { tenant: string; source: Source }, gap: SourceGap): Promise<void>;
  completeTo(of: { tenant: string; source: Source }): Promise<number | undefined>;
}

/** One socket each, kept open. */
export function websocketKind(parts: WebsocketKindParts): SourceKind {
  const { egress, secrets, runtime, tellGap, completeTo } = parts;
  const { clock, random } = runtime;
  return {
    leased: true,
    open: (context) => {
      const { source, tenant } = context;
      assert(source.kind?.$case === "websocket", "a WebSocket source is opened as one");
      const settings = source.kind.value;
      const { seconds, nanos } = settings.pingInterval ?? { seconds: 30, nanos: 0 };
      return createWebsocketSource({
        context,
        sourceId: settings.sourceId || new URL(settings.url).hostname,
        epoch: randomUUID(),
        prepare: () => prepare(settings, { egress, secrets }),
        resume: settings.resume,
        pingIntervalMs: seconds * 1000 + nanos / 1e6,
        now: clock.monotonic,
        sleep: clock.sleep,
        random,
        wallClock: clock.now,
        tellGap: (gap) => tellGap({ tenant, source }, gap),
        completeTo: () => completeTo({ tenant, source }),
      });
    },
  };
}

async function prepare(
  settings: WebSocketSource,
  { egress, secrets }: { egress: Egress; secrets: Secrets },
): Promise<Prepared> {
  const { url, lookup, ca } = await egress.resolve(settings.url, "source.websocket.url");
  const valueOf = (value: Value, field: string) => secrets.valueOf(value, `source.websocket.${field}`);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(settings.headers)) {
    headers[name] = await valueOf(value, `headers.${name}`);
  }
  const subscribe: string[] = [];
  for (const [index, value] of settings.subscribe.entries()) {
    subscribe.push(await valueOf(value, `subscribe[${index}]`));
  }
  const { subprotocols, pingFrame } = settings;
  return { url, lookup, ca, headers, subprotocols, pingFrame: pingFrame || undefined, subscribe };
}
