import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { adminUser, connectBroker, seedFile, serviceUsers } from "@millrace/messaging";
import { silentLogger } from "@millrace/runtime";
import type { TestSystem } from "../local-system.js";
import type { Place } from "./find-leaks.js";

type Described = TestSystem["described"];

/** Every file below the state directory; the names of directories on the way are part of a place's name. */
export async function filePlaces(stateDir: string): Promise<Place[]> {
  const entries = await readdir(stateDir, { recursive: true, withFileTypes: true });
  const places = entries.map(async (entry): Promise<Place> => {
    const path = join(entry.parentPath, entry.name);
    // One that is gone since the listing holds nothing any more.
    const bytes = entry.isFile() ? await readFile(path).catch(() => Buffer.alloc(0)) : Buffer.alloc(0);
    return { name: relative(stateDir, path), bytes };
  });
  return Promise.all(places);
}

/** Every message that the broker stores now, subject and headers included, by its stream's name. */
export async function storedPlaces({ natsUrl, keysDir = "" }: Described): Promise<Map<string, Place[]>> {
  const broker = await connectBroker({
    url: natsUrl,
    user: adminUser,
    seedFile: seedFile(keysDir, adminUser),
    log: silentLogger,
    onClosed: () => undefined,
  });
  const places = new Map<string, Place[]>();
  try {
    for await (const { config, state } of broker.manager.streams.list()) {
      const stored: Place[] = [];
      places.set(config.name, stored);
      for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
        const message = await broker.manager.streams.getMessage(config.name, { seq }).catch(() => null);
        if (message === null) continue;
        const headers = [...message.header]
          .map(([name, values]) => `${name}: ${values.join(", ")}`)
          .join("\n");
        const bytes = Buffer.concat([Buffer.from(`${headers}\n`), message.data]);
        stored.push({ name: `${config.name} ${seq} ${message.subject}`, bytes });
      }
    }
  } finally {
    await broker.connection.close();
  }
  return places;
}

/** What each service tells over HTTP. */
export async function httpPlaces({ ports }: Described): Promise<Place[]> {
  const urls = serviceUsers.flatMap((name) =>
    ["metrics", "readyz?verbose"].map((path) => `http://127.0.0.1:${ports.http[name]}/${path}`),
  );
  return Promise.all(
    urls.map(async (url) => ({ name: url, bytes: Buffer.from(await (await fetch(url)).text()) })),
  );
}
