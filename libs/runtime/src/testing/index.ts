export { eventually, type EventuallyOptions } from "./eventually.js";
export { type CertificateToIssue, createAuthority, type TestAuthority } from "./certificates.js";
export { createFakeClock, type FakeClock } from "./fake-clock.js";
export { testRuntime } from "./test-runtime.js";
