/** The full lane repeats what is seeded and waits through long outages; the short one is in `npm test`. */
export const isFullLane = process.env["MILLRACE_FAULT_LANE"] === "full";

/** How often, or how long, in each lane; what the short one leaves out is told in the run's notes. */
export function perLane(inShort: number, inFull: number): number {
  return isFullLane ? inFull : inShort;
}

/** What a reader of the short lane's report must know that it did not see. */
export function tellFull(t: { diagnostic(message: string): void }, what: string): void {
  if (!isFullLane) t.diagnostic(`${what}: only with npm run test:fault -- --full`);
}
