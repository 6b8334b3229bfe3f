/** A service for the tests of `runService`: ready at once, or failing as its config says. */
import { CodedError } from "@millrace/errors";
import { z } from "zod";
import { baseConfig } from "../config.js";
import { runService } from "../run-service.js";

const config = z.strictObject({
  ...baseConfig,
  /**
   * `build`: the build fails. `later`: the running service fails. `crash`: it throws where nobody catches.
   */
  fails: z.enum(["no", "build", "later", "crash"]).default("no"),
});

await runService({
  name: "probe",
  config,
  build: async ({ fails }, runtime) => {
    if (fails === "build") throw new CodedError("unavailable", "no broker", { remedy: "Start it." });
    return [
      {
        name: "work",
        start: async () => {
          if (fails === "later")
            setImmediate(() => runtime.fail(new CodedError("unavailable", "broker gone")));
          if (fails === "crash") {
            setImmediate(() => {
              throw new Error("a mistake of ours");
            });
          }
        },
        stop: async () => runtime.log.info("work is finished"),
      },
    ];
  },
});
