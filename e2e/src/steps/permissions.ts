import { brokerUsers, type BrokerUser } from "@millrace/messaging";
import { connectForwarded, type ForwardedBroker, tryPermissions } from "@millrace/messaging/testing";
import { expectNone } from "../checks.js";
import { fullName } from "../cluster/release.js";
import type { Context, Step } from "./step.js";

/** Every user against every subject and API, allowed and forbidden, by the release's own certificates. */
export const permissionsStep: Step = {
  name: "permissions",
  profile: "small",
  async run(context) {
    const forward = await context.kubectl.forward(`service/${fullName}-nats`, 4222);
    try {
      for (const user of brokerUsers) {
        await context.checks.check(`${user} may do on the broker what its table says, and no more`, () =>
          tryUser(context, user, forward.port),
        );
      }
      await context.checks.check("nobody gets in without a certificate", async () => {
        const ca = await context.kubectl.secret(`${fullName}-gateway-tls`, "ca.crt");
        const found = await dial(forward.port, { ca }).then(
          async (connection) => {
            await connection.close();
            return ["a client without one was let in"];
          },
          () => [],
        );
        expectNone("ways in", found);
      });
    } finally {
      forward.close();
    }
  },
};

async function tryUser({ kubectl }: Context, user: BrokerUser, port: number): Promise<void> {
  const secret = `${fullName}-${user}-tls`;
  const [ca, cert, key] = await Promise.all(
    ["ca.crt", "tls.crt", "tls.key"].map((name) => kubectl.secret(secret, name)),
  );
  if (ca === undefined || cert === undefined || key === undefined) throw new Error(`${secret} is not whole`);
  const connection = await dial(port, { ca, cert, key }, user);
  const { passed, refused } = await tryPermissions({ broker: { connection }, user });
  expectNone("are let through that must not be", passed);
  expectNone("are refused that must not be", refused);
}

function dial(port: number, tls: ForwardedBroker["tls"], user = "nobody") {
  return connectForwarded({ port, serverName: `${fullName}-nats`, user, tls });
}
