import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthority, type TestAuthority } from "@millrace/runtime/testing";

/** As Kubernetes sends it, of which only what is judged is named. */
export interface Review {
  user?: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
  resourceAttributes?: Record<string, string>;
  nonResourceAttributes?: Record<string, string>;
}

/** An HTTPS server that speaks the two endpoints of Kubernetes which the adapter asks. */
export interface TestCluster {
  /** How the adapter reaches it. */
  kubeconfig: string;
  dir: string;
  /** Issues certificates of the API server, by which it is known. */
  proxies: TestAuthority;
  /** Issues those of servers. */
  servers: TestAuthority;
  reviews: Review[];
  /** Data of extension-apiserver-authentication; undefined: it can't be read. */
  settings: Record<string, string> | undefined;
  judge(review: Review): boolean;
  stop(): Promise<void>;
}

const token = "token-of-the-service-account";

export async function startCluster(): Promise<TestCluster> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-cluster-"));
  const servers = await createAuthority(join(dir, "servers"));
  const proxies = await createAuthority(join(dir, "proxies"));
  const own = await servers.issue("kubernetes");
  const [cert, key, ca] = await Promise.all(
    [own.certFile, own.keyFile, servers.caFile].map((file) => readFile(file, "utf8")),
  );
  const server = createServer({ cert, key }, (request, response) => {
    void answer(cluster, request)
      .catch((): [number, object] => failure(500))
      .then(([status, body]) => {
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kubeconfig = join(dir, "kubeconfig");
  await writeFile(kubeconfig, JSON.stringify(accessTo(url, ca ?? "")));
  const cluster: TestCluster = {
    kubeconfig,
    dir,
    proxies,
    servers,
    reviews: [],
    settings: {
      "requestheader-client-ca-file": await readFile(proxies.caFile, "utf8"),
      "requestheader-allowed-names": '["front-proxy-client"]',
      "requestheader-username-headers": '["X-Remote-User"]',
      "requestheader-uid-headers": '["X-Remote-Uid"]',
      "requestheader-group-headers": '["X-Remote-Group"]',
      "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    },
    judge: () => true,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return cluster;
}

function accessTo(server: string, ca: string) {
  return {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [
      {
        name: "test",
        cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") },
      },
    ],
    users: [{ name: "adapter", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "adapter" } }],
  };
}

const failure = (code: number): [number, object] => [code, { kind: "Status", apiVersion: "v1", code }];

async function answer(cluster: TestCluster, request: IncomingMessage): Promise<[number, object]> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  if (request.headers.authorization !== `Bearer ${token}`) return failure(401);
  const called = `${request.method} ${request.url}`;
  if (called === "GET /api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication") {
    if (cluster.settings === undefined) return failure(403);
    return [200, { kind: "ConfigMap", apiVersion: "v1", metadata: {}, data: cluster.settings }];
  }
  if (called === "POST /apis/authorization.k8s.io/v1/subjectaccessreviews") {
    const { spec } = JSON.parse(Buffer.concat(chunks).toString()) as { spec: Review };
    cluster.reviews.push(spec);
    const status = { allowed: cluster.judge(spec), reason: "by the test" };
    return [201, { kind: "SubjectAccessReview", apiVersion: "authorization.k8s.io/v1", spec, status }];
  }
  return failure(404);
}
