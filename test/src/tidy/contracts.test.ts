import { type Finding, keep, lineAt } from "./rule.js";
import { isTest, type SourceFile, sourceFile } from "./source-tree.js";

interface ProtoService {
  path: string;
  line: number;
  /** `millrace.message.v1.PublishService` */
  name: string;
  rpcs: string[];
}

function protoServices(files: readonly SourceFile[]): ProtoService[] {
  return files
    .filter(({ path }) => path.endsWith(".proto"))
    .flatMap(({ path, text }) => {
      const inPackage = /^package ([\w.]+);/m.exec(text)?.[1] ?? "";
      return [...text.matchAll(/^service (\w+) \{([\s\S]*?)^\}/gm)].map((match) => ({
        path,
        line: lineAt(text, match.index),
        name: `${inPackage}.${match[1]}`,
        rpcs: [...(match[2] ?? "").matchAll(/^\s*rpc (\w+)/gm)].map((rpc) => rpc[1] ?? ""),
      }));
    });
}

/** gateway serves the public API, buffer the internal one, and ranges whoever wrote them. */
const servers = /^(services\/(gateway|buffer)\/src|libs\/runtime\/src\/grpc)\//;

function serverFiles(files: readonly SourceFile[]): SourceFile[] {
  return files.filter((file) => servers.test(file.path) && !isTest(file));
}

const lowerFirst = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1);

function findUnserved(files: readonly SourceFile[]): Finding[] {
  const serving = serverFiles(files);
  return protoServices(files).flatMap(({ path, line, name, rpcs }) => {
    const file = serving.find(({ text }) => text.includes(`"${name}"`));
    if (file === undefined) return [{ path, line, what: `${name} is registered nowhere` }];
    return rpcs
      .filter((rpc) => !new RegExp(`\\b${lowerFirst(rpc)}\\s*[:(,]`).test(file.code))
      .map((rpc) => ({ path: file.path, line: 0, what: `${name}/${rpc} has no implementation here` }));
  });
}

const proto = "package millrace.a.v1;\nservice AService {\n  rpc GetA(Q) returns (R);\n}\n";

keep({
  name: "every service of the contracts is served with all of its calls",
  remedy: "A service appears in proto and server together: register it in gateway or buffer, or take it out.",
  find: findUnserved,
  caught: [
    [sourceFile("proto/millrace/a/v1/a.proto", proto)],
    [
      sourceFile("proto/millrace/a/v1/a.proto", proto),
      sourceFile(
        "services/gateway/src/service.ts",
        'const a = { name: "millrace.a.v1.AService", implementation: {} };',
      ),
    ],
  ],
  passed: [
    [
      sourceFile("proto/millrace/a/v1/a.proto", proto),
      sourceFile(
        "services/gateway/src/service.ts",
        'const a = { name: "millrace.a.v1.AService", implementation: { getA: 1 } };',
      ),
    ],
  ],
});

keep({
  name: "every service that is served is in the contracts",
  remedy: "Define it in proto/ first.",
  find: (files) => {
    const known = new Set(protoServices(files).map(({ name }) => name));
    return serverFiles(files).flatMap(({ path, text }) =>
      [...text.matchAll(/"(millrace\.\w+\.v\d+\.\w+Service)"/g)]
        .filter((match) => !known.has(match[1] ?? ""))
        .map((match) => ({ path, line: lineAt(text, match.index), what: match[1] ?? "" })),
    );
  },
  caught: [[sourceFile("services/gateway/src/service.ts", 'const name = "millrace.b.v1.BService";')]],
});
