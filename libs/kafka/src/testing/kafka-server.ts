import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, type TestAuthority } from "@millrace/runtime/testing";
import { obtainBrokerJars } from "./broker-jars.js";
import { type BrokerPorts, brokerProperties, type KafkaUser } from "./broker-properties.js";
import { guard } from "./guard.js";
import { createTopic, type TopicOptions, untilGroupsAreServed } from "./create-topic.js";
import { addScramUsers } from "./scram-users.js";

export interface KafkaOptions {
  /** Issues the broker's certificate; with it there are TLS listeners. */
  authority?: TestAuthority;
  /** With them there are listeners that ask for a password, by PLAIN and SCRAM. */
  users?: readonly KafkaUser[];
}

/** A real Kafka broker on the loopback interface, alone in its cluster. */
export interface KafkaServer {
  /** Addresses by listener, as `host:port`. Those that were not asked for are not listened at. */
  readonly bootstrap: string;
  readonly sslBootstrap: string;
  readonly saslBootstrap: string;
  readonly saslSslBootstrap: string;
  readonly logFile: string;
  pid(): number;
  /** Makes a Kafka topic. */
  createTopic(name: string, options?: TopicOptions): Promise<void>;
  /** SIGKILL; `start` brings it back with the same state and ports. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Ends it and removes its state. */
  stop(): Promise<void>;
}

const startMs = 60_000;
const javaFlags = ["-Xmx320m", "-Xms64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"];

export async function startKafka(options: KafkaOptions = {}): Promise<KafkaServer> {
  const { authority, users = [] } = options;
  const jars = await obtainBrokerJars();
  const dir = await mkdtemp(join(tmpdir(), "millrace-kafka-"));
  const ports = await freePorts();
  const configFile = join(dir, "server.properties");
  const logFile = join(dir, "kafka.log");
  await writeFile(configFile, await brokerProperties({ dir, ports, users, authority }));
  const java = [...javaFlags, "-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", join(jars, "*")];
  await format(join(dir, "data"));
  const host = "127.0.0.1";
  const address = (port: number): string => `${host}:${port}`;
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const log = openSync(logFile, "w");
    const running = spawn(javaCommand(), [...java, "kafka.Kafka", configFile], {
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    let failure: Error | undefined;
    running.once("error", (error) => (failure = error));
    if (running.pid !== undefined) guard(running);
    child = running;
    const what = { what: "the Kafka broker has started", deadlineMs: startMs, pollMs: 50 };
    await eventually(() => failure !== undefined || hasStarted(logFile, running), what).catch(
      (cause: Error) => {
        running.kill("SIGKILL");
        failure = cause;
      },
    );
    if (failure !== undefined || running.exitCode !== null) {
      const said = (await readFile(logFile, "utf8")).slice(-4_000);
      throw new Error(`Kafka did not start; it needs Java 17 or newer:\n${said}`, { cause: failure });
    }
    await untilGroupsAreServed(address(ports.plaintext));
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, "exit");
    running.kill("SIGKILL");
    await exited;
  };

  await start();
  if (users.length > 0) await addScramUsers({ host, ...ports }, users);
  return {
    bootstrap: address(ports.plaintext),
    sslBootstrap: address(ports.ssl),
    saslBootstrap: address(ports.sasl),
    saslSslBootstrap: address(ports.saslSsl),
    logFile,
    pid: () => child?.pid ?? 0,
    createTopic: (name, topic) => createTopic(address(ports.plaintext), name, topic),
    kill,
    start,
    stop: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const javaCommand = (): string => {
  const home = process.env["JAVA_HOME"];
  return home === undefined || home === "" ? "java" : join(home, "bin", "java");
};

/** As `kafka-storage format` would, which takes a second of Java: what else it writes is the default. */
async function format(dataDir: string): Promise<void> {
  const lines = ["version=1", "node.id=1", `cluster.id=${newId()}`, `directory.id=${newId()}`, ""];
  await mkdir(dataDir);
  await writeFile(join(dataDir, "meta.properties"), lines.join("\n"));
}

/** As Kafka writes them: base64, without what would look like an option. */
function newId(): string {
  const bytes = Buffer.from(randomUUID().replaceAll("-", ""), "hex");
  return bytes.toString("base64url").replaceAll("-", "m");
}

/** Also once it has ended: what it said last tells why. */
function hasStarted(logFile: string, running: ChildProcess): boolean {
  if (running.exitCode !== null || running.signalCode !== null) return true;
  return readFileSync(logFile, "utf8").includes("Kafka Server started");
}

async function freePorts(): Promise<BrokerPorts> {
  const servers = Array.from({ length: 5 }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const [plaintext = 0, controller = 0, ssl = 0, sasl = 0, saslSsl = 0] = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(
    servers.map((server) => {
      server.close();
      return once(server, "close");
    }),
  );
  return { plaintext, controller, ssl, sasl, saslSsl };
}
