export { createMemoryDisk, createRandom, type Fault, type MemoryDisk } from "./memory-disk.js";
