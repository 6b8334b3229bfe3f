export { type LocalLeases, localLeases } from "./local-leases.js";
export { createMemoryDisk, createRandom, type Fault, type MemoryDisk } from "./memory-disk.js";
