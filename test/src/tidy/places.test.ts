import { keep, matches } from "./rule.js";
import { isCode, isData, sourceFile } from "./source-tree.js";

/** In pieces, so that this file does not hold what it forbids. */
const below = (...folders: string[]): string => `/${folders.join("/")}`;

keep({
  name: "no path belongs to one machine",
  remedy: "Use a path below the checkout or os.tmpdir(); in documents say what the path is.",
  find: (files) =>
    files
      .filter((file) => !isData(file))
      .flatMap((file) =>
        matches(
          file,
          /(?<![\w.*<>$}-])\/(?:work|root|home|Users|tmp|mnt)\/[\w.$<{-]+|["'`]\/(?:tmp|root|work)["'`]/,
        ),
      ),
  caught: [
    [sourceFile("libs/a/src/x.ts", `const dir = "${below("home", "anna", "x")}";`)],
    [sourceFile("docs/x.md", `See ${below("work", "notes.md")}.`)],
    [sourceFile("libs/a/src/x.test.ts", `mkdtempSync("${below("tmp", "x-")}");`)],
    [sourceFile("libs/a/src/x.test.ts", `join("${below("tmp")}", name);`)],
  ],
  passed: [
    [sourceFile("libs/a/src/x.ts", 'const url = "https://example.com/home/x"; const glob = "**/tmp/*";')],
  ],
});

const registryHosts = new RegExp(
  [
    /\bregistry\.(npmjs|yarnpkg)\./,
    /\bpypi\.org|\bpythonhosted\.org/,
    /\brepo1?\.maven\./,
    /\bproxy\.golang\.org/,
    /\bnpm\.pkg\./,
    /\/\/[\w.-]*(artifactory|nexus|registry|mirror)[\w.-]*\//,
  ]
    .map(({ source }) => source)
    .join("|"),
);

keep({
  name: "no file names the host of a package registry",
  remedy: "Let the registry's own client choose: a machine's mirrors and credentials are its own matter.",
  find: (files) =>
    files.filter(({ path }) => !path.endsWith(".jsonl")).flatMap((file) => matches(file, registryHosts)),
  caught: [
    [sourceFile("pnpm-lock.yaml", ["resolution: {tarball: https://registry", "npmjs.org/a.tgz}"].join("."))],
    [sourceFile("cli/src/x.ts", ['const base = "https://repo1', 'maven.org/maven2";'].join("."))],
    [sourceFile("cli/src/x.ts", ['const base = "https://my-artifac', 'tory.example/npm";'].join(""))],
  ],
});

keep({
  name: "a program listens on loopback unless its config says otherwise",
  remedy: "Bind 127.0.0.1 and make the host a config field.",
  find: (files) => files.filter(isCode).flatMap((file) => matches(file, /["'`]0\.0\.0\.0(:\d+)?["'`]/)),
  caught: [[sourceFile("services/a/src/x.ts", `server.listen(80, "${[0, 0, 0, 0].join(".")}");`)]],
});
