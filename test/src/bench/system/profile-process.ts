import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";

// Imported by the services of a bench that is asked for profiles (Node 20 takes no --cpu-prof from NODE_OPTIONS).
const dir = process.env["MILLRACE_BENCH_PROFILE_DIR"];
const service = /services\/([a-z-]+)\/dist\/main\.js$/.exec(process.argv[1] ?? "")?.[1];

if (dir !== undefined && service !== undefined && isMainThread) {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: 500 });
  session.post("Profiler.start");
  process.once("exit", () => {
    session.post("Profiler.stop", (error, result) => {
      if (error === null) writeFileSync(join(dir, `${service}.cpuprofile`), JSON.stringify(result.profile));
    });
  });
}
