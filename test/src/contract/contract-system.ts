import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, type ConnectOptions, type MillraceClient } from "@millrace/sdk";
import { createAuthority, type KafkaServer, startKafka, type TestAuthority } from "@millrace/testkit";
import { type FaultSystem, startFaultSystem } from "../fault/system/fault-system.js";

/** What no log may hold. */
export const credentials = {
  gatewayToken: "canary-gateway-token-51c0",
  kafkaPassword: "canary-kafka-password-7c1e",
  feedToken: "Bearer canary-feed-token-90ad",
  hookKey: "canary-hook-key-2f77",
} as const;

export const kafkaUser = { username: "alice", password: credentials.kafkaPassword };

/** Names of secrets, as settings give them; `ca` is trusted, `strangerCa` signed nothing that is used. */
export const secrets = {
  kafkaPassword: "kafka-password",
  feedToken: "feed-token",
  ca: "ca",
  strangerCa: "stranger-ca",
} as const;

/** One system for every kind: gateway by TLS and token, a Kafka broker by TLS and password. */
export interface ContractSystem extends FaultSystem {
  kafka: KafkaServer;
  /** Signs what is trusted. */
  authority: TestAuthority;
  /** Signs what nobody trusts. */
  stranger: TestAuthority;
  /** Another caller, who trusts the authority, or with other options. */
  connect(options?: Omit<ConnectOptions, "address">): MillraceClient;
  assertNothingTold(): Promise<void>;
}

export async function startContractSystem(): Promise<ContractSystem> {
  let made: { kafka: KafkaServer; authority: TestAuthority; stranger: TestAuthority } | undefined;
  let gatewayTls: object = {};
  let dirs = { secrets: "", tokensFile: "" };
  const connecting = (): Omit<ConnectOptions, "address"> => ({
    tls: { caFile: made?.authority.caFile ?? "" },
    token: credentials.gatewayToken,
    deadlineMs: 20_000,
  });
  const egress = (): object => ({ allowPrivate: ["127.0.0.1"], caFile: made?.authority.caFile });
  const system = await startFaultSystem({
    connecting,
    prepare: async (stateDir) => {
      const authority = await createAuthority(join(stateDir, "trusted"));
      const stranger = await createAuthority(join(stateDir, "stranger"));
      made = { authority, stranger, kafka: await startKafka({ authority, users: [kafkaUser] }) };
      const { certFile, keyFile } = await authority.issue("gateway");
      gatewayTls = { certFile, keyFile };
      dirs = { secrets: join(stateDir, "secrets"), tokensFile: join(stateDir, "tokens.json") };
      await mkdir(dirs.secrets);
      await writeFile(join(dirs.secrets, secrets.kafkaPassword), `${credentials.kafkaPassword}\n`);
      await writeFile(join(dirs.secrets, secrets.feedToken), `${credentials.feedToken}\n`);
      await copyFile(authority.caFile, join(dirs.secrets, secrets.ca));
      await copyFile(stranger.caFile, join(dirs.secrets, secrets.strangerCa));
      const sha256 = createHash("sha256").update(credentials.gatewayToken).digest("hex");
      await writeFile(dirs.tokensFile, JSON.stringify({ tokens: [{ name: "app", sha256, role: "user" }] }));
    },
    configure: {
      gateway: (config) => {
        Object.assign(config["grpc"] ?? {}, { tls: gatewayTls });
        Object.assign(config, { auth: { tokensFile: dirs.tokensFile } });
      },
      ingestion: (config) => {
        Object.assign(config["files"] ?? {}, { settleMs: 100 });
        Object.assign(config, { egress: egress(), kafka: { sessionTimeoutMs: 6_000 } });
      },
      output: (config) => {
        const retryDelaysMs = [300, 600, 1_200, 2_400, 4_800];
        Object.assign(config, { egress: egress(), triggers: { retryDelaysMs } });
      },
    },
  });
  assert.ok(made !== undefined);
  const { kafka } = made;
  return {
    ...system,
    ...made,
    connect: (options) => connect({ address: system.grpcAddress, ...connecting(), ...options }),
    assertNothingTold: () => assertNothingTold(join(system.stateDir, "logs")),
    stop: async () => {
      await system.stop();
      await kafka.stop();
    },
  };
}

/** Each log exists and holds none of the credentials; it would be seen in these very texts. */
async function assertNothingTold(folder: string): Promise<void> {
  const names = await readdir(folder);
  assert.ok(names.includes("ingestion.log") && names.includes("output.log"), names.join());
  for (const name of names) {
    const text = await readFile(join(folder, name), "utf8");
    // A header's value is told as little without what stands before it.
    const told = (where: string) => Object.values(credentials).filter((one) => where.includes(words(one)));
    assert.deepEqual(told(text), [], name);
    assert.equal(told(`${text}${credentials.feedToken}`).length, 1);
  }
}

const words = (value: string): string => value.replace("Bearer ", "");
