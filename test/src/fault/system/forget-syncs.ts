import { open } from "node:fs/promises";

// Imported by the services of a control run: a sync that does nothing. A power cut must show then.
const handle = await open(process.execPath, "r");
const prototype = Object.getPrototypeOf(handle) as { sync(): Promise<void>; datasync(): Promise<void> };
await handle.close();
prototype.sync = () => Promise.resolve();
prototype.datasync = () => Promise.resolve();
