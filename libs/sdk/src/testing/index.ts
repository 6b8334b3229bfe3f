export {
  type Retry,
  type TestDeadLetter,
  testStream,
  type TestStream,
  type TestStreamOptions,
} from "./test-stream.js";
