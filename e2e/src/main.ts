import { runSteps } from "./run-steps.js";

process.exitCode = await runSteps(process.argv.slice(2), process.env);
