// The child of touched-memory.ts: writes one byte into each page of so many bytes, and ends.
const blockBytes = 256 * 1024 * 1024;
const pageBytes = 4096;
const held: Buffer[] = [];
for (let left = Number(process.argv[2]); left >= blockBytes; left -= blockBytes) {
  const block = Buffer.allocUnsafeSlow(blockBytes);
  for (let at = 0; at < blockBytes; at += pageBytes) block[at] = 1;
  held.push(block);
}
process.exit(held.length >= 0 ? 0 : 1);
