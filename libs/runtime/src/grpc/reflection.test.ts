import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { descriptorImage } from "@millrace/proto";
import { createReflection } from "./reflection.js";

const asIs = (bytes: Buffer): Buffer => bytes;

describe("reflection", () => {
  const image = readFileSync(descriptorImage);
  const server = new Server();
  let client: Client;
  before(async () => {
    const { services } = createReflection(image, ["millrace.search.v1.SearchService"]);
    for (const { definition, implementation } of services) server.addService(definition, implementation);
    const port = await new Promise<number>((resolve, reject) => {
      const done = (cause: Error | null, at: number): void => (cause === null ? resolve(at) : reject(cause));
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), done);
    });
    client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  });
  after(() => {
    client.close();
    server.forceShutdown();
  });

  async function ask(field: number, value: string): Promise<string> {
    const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const call = client.makeBidiStreamRequest(path, asIs, asIs);
    call.write(
      Buffer.from(
        new BinaryWriter()
          .uint32((field << 3) | 2)
          .string(value)
          .finish(),
      ),
    );
    const [bytes] = (await once(call, "data")) as [Buffer];
    call.end();
    await once(call, "end");
    return bytes.toString("latin1");
  }

  it("names the services that are served, and no other", async () => {
    const answer = await ask(7, "");
    assert.match(answer, /millrace\.search\.v1\.SearchService/);
    assert.doesNotMatch(answer, /BufferService/);
  });

  it("answers a symbol with its file and all that this imports, names in full", async () => {
    const answer = await ask(4, "millrace.search.v1.SearchRequest");
    for (const file of [
      "search/v1/search.proto",
      "message/v1/message.proto",
      "google/protobuf/duration.proto",
    ]) {
      assert.ok(answer.includes(file), file);
    }
    assert.ok(answer.includes(".millrace.message.v1.Position"), "type names begin with a dot");
  });

  it("finds a file by name, a method, a nested message and health", async () => {
    assert.ok((await ask(3, "millrace/event/v1/event.proto")).includes("WatchEvents"));
    assert.ok((await ask(4, "millrace.event.v1.EventService.WatchEvents")).includes("WatchEvents"));
    assert.ok((await ask(4, "millrace.message.v1.PublishStreamRequest.Open")).includes("epoch"));
    assert.ok((await ask(4, "grpc.health.v1.Health")).includes("HealthCheckRequest"));
  });

  it("says that an unknown symbol is not known", async () => {
    assert.match(await ask(4, "millrace.Nothing"), /millrace\.Nothing is not known/);
  });
});
