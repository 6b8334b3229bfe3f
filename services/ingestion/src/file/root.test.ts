import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, link, mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CodedError } from "@millrace/errors";
import { fileId } from "./file-identity.js";
import { checkRoot, openFile } from "./root.js";

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "ingestion-root-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

function coded(code: string, about: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof CodedError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, about);
    assert.ok(error.remedy, "an error says what to do");
    return true;
  };
}

test("a directory below a root is taken", async (t) => {
  const root = await directory(t);
  await mkdir(join(root, "in"));
  assert.equal(await checkRoot(join(root, "in"), ["/does/not/exist", root]), join(root, "in"));
  assert.equal(await checkRoot(root, [root]), root);
});

test("a path outside of the roots, or that leads out, is refused", async (t) => {
  const root = await directory(t);
  await symlink(tmpdir(), join(root, "out"));
  await mkdir(`${root}-sibling`);
  t.after(() => rm(`${root}-sibling`, { recursive: true }));
  await assert.rejects(checkRoot(tmpdir(), [root]), coded("permission_denied", /outside/));
  await assert.rejects(checkRoot(join(root, ".."), [root]), coded("permission_denied", /outside/));
  await assert.rejects(checkRoot(join(root, "out"), [root]), coded("permission_denied", /outside/));
  await assert.rejects(checkRoot(`${root}-sibling`, [root]), coded("permission_denied", /outside/));
  await assert.rejects(checkRoot(root, []), coded("permission_denied", /outside/));
});

test("a path that is no usable directory is refused by name", async (t) => {
  const root = await directory(t);
  await writeFile(join(root, "file"), "");
  await assert.rejects(checkRoot("relative", [root]), coded("invalid_argument", /relative is not absolute/));
  await assert.rejects(checkRoot(`${root}/a\0b`, [root]), coded("invalid_argument", /NUL/));
  await assert.rejects(checkRoot(join(root, "none"), [root]), coded("not_found", /none/));
  await assert.rejects(
    checkRoot(join(root, "file"), [root]),
    coded("invalid_argument", /file is not a directory/),
  );
});

test("links, directories and pipes are not opened", async (t) => {
  const root = await directory(t);
  await writeFile(join(root, "one"), "1\n");
  await link(join(root, "one"), join(root, "two"));
  await symlink("/etc/hostname", join(root, "link"));
  await symlink(join(root, "nothing"), join(root, "dangling"));
  await mkdir(join(root, "directory"));
  execFileSync("mkfifo", [join(root, "pipe")]);
  await assert.rejects(openFile(root, "one"), coded("permission_denied", /one has 2 hard links/));
  await assert.rejects(openFile(root, "link"), coded("permission_denied", /link is a symbolic link/));
  await assert.rejects(openFile(root, "dangling"), coded("permission_denied", /symbolic link/));
  await assert.rejects(openFile(root, "directory"), coded("failed_precondition", /not a regular file/));
  await assert.rejects(openFile(root, "pipe"), coded("failed_precondition", /not a regular file/));
  await assert.rejects(openFile(root, "none"), coded("not_found", /none/));
  const { handle } = await openFile(root, "one", { hardLinksAllowed: true });
  await handle.close();
});

/** Runs as a user whom file modes bind; root reads everything. */
async function unprivileged<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work();
  process.seteuid?.(65534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

test("a file or directory that may not be read is refused by name", async (t) => {
  const root = await directory(t);
  await chmod(root, 0o755);
  await writeFile(join(root, "secret"), "");
  await chmod(join(root, "secret"), 0);
  await mkdir(join(root, "closed"));
  await chmod(join(root, "closed"), 0);
  await unprivileged(async () => {
    await assert.rejects(openFile(root, "secret"), coded("permission_denied", /secret/));
    await assert.rejects(checkRoot(join(root, "closed"), [root]), coded("permission_denied", /closed/));
  });
});

test("a parent that is a link leads nowhere", async (t) => {
  const root = await directory(t);
  const outside = await directory(t);
  await writeFile(join(outside, "a"), "outside\n");
  await symlink(outside, join(root, "sub"));
  await assert.rejects(openFile(root, "sub/a"), coded("permission_denied", /leads out/));
});

test("a parent swapped during the open never opens the file outside", async (t) => {
  const root = await directory(t);
  const outside = await directory(t);
  await writeFile(join(outside, "a"), "outside\n");
  await mkdir(join(root, "real"));
  await writeFile(join(root, "real", "a"), "inside\n");
  await symlink(outside, join(root, "evil"));
  await rename(join(root, "real"), join(root, "sub"));
  let isSwapping = true;
  const swapping = (async () => {
    while (isSwapping) {
      await rename(join(root, "sub"), join(root, "real"));
      await rename(join(root, "evil"), join(root, "sub"));
      await rename(join(root, "sub"), join(root, "evil"));
      await rename(join(root, "real"), join(root, "sub"));
    }
  })();
  for (let round = 0; round < 1000; round++) {
    const opened = await openFile(root, "sub/a").catch((error: unknown) => {
      assert.ok(error instanceof CodedError);
      return undefined;
    });
    if (opened === undefined) continue;
    const content = await opened.handle.readFile("utf8");
    await opened.handle.close();
    assert.equal(content, "inside\n");
  }
  isSwapping = false;
  await swapping;
});

test("a file's key stays over a rename and differs for a new file, stream and tenant", async (t) => {
  const root = await directory(t);
  const path = join(root, "a");
  const keyOf = async (name: string, owner = { tenant: "t", stream: "s" }): Promise<string> => {
    const { dev, ino, birthtimeNs } = await stat(name, { bigint: true });
    return fileId(owner, { device: dev, inode: ino, birthtimeNs });
  };
  await writeFile(path, "1\n");
  const first = await keyOf(path);
  assert.match(first, /^[0-9a-f]{32}$/);
  await rename(path, join(root, "b"));
  await writeFile(path, "2\n");
  assert.equal(await keyOf(join(root, "b")), first);
  assert.notEqual(await keyOf(path), first);
  assert.notEqual(await keyOf(join(root, "b"), { tenant: "t", stream: "s2" }), first);
  assert.notEqual(await keyOf(join(root, "b"), { tenant: "ts", stream: "" }), first);
});
