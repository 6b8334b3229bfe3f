/** Bounds that several services must agree on; each derived where it stands. */
export const limits = {
  /** One message. NATS carries 1 MiB a message; a quarter is left for headers, columns and annotations. */
  messageBytesMax: 768 * 1024,
  /** A blob by UploadContent: redacted it may grow to three times that, which `busBytesMax` still holds. */
  dataBytesMax: 4 * 1024 * 1024,
  /** An image in a request of Publish or PublishStream, which holds 4 MiB with all that goes with it. */
  publishedImageBytesMax: 3 * 1024 * 1024,
  /** A frame of UploadContent and AddImage: what gRPC moves fastest, and small beside what is collected. */
  uploadFrameBytesMax: 256 * 1024,
  /** An image as it comes, encoded. */
  imageBytesMax: 8 * 1024 * 1024,
  /** … past privacy, which encodes it anew. */
  cleanImageBytesMax: 10 * 1024 * 1024,
  /** A message of the bus that carries a whole content: the largest one with its columns, docs/adr/0043. */
  busBytesMax: 12 * 1024 * 1024,
  /** A batch's messages: 8,192 one-byte columns and 2-byte lengths stay far below a NATS message. */
  batchMessagesMax: 8192,
  /**
   * A batch's body: large enough to spread the cost of a hop, small enough to keep 256 in flight in 256 MiB.
   */
  batchBytesMax: 1024 * 1024,
  /**
   * A bulk frame's body, which lies in a segment from the first: each batch costs each hop a synced publish,
   * whatever its size, and 8,192 messages of 1 KiB fit: see docs/adr/0027.
   */
  bulkBytesMax: 12 * 1024 * 1024,
  /** Bodies up to this travel on the bus, larger ones by segment (see libs/segments `place`). */
  inlineBytesMax: 64 * 1024,
  /** Header, columns and annotations of a batch. */
  columnsBytesMax: 768 * 1024,
  /**
   * Findings of one message that are listed, in its content and in its names; the others are counted. As many
   * as fit a NATS message beside the longest message and its attributes, also spelled out as in the API.
   */
  findingsMax: 2048,
  nameFindingsMax: 512,
  /** Toward inference: a batch is at most about one second of work. */
  inferenceMessagesMax: 64,
  sourceIdCharsMax: 256,
  attributesMax: 64,
  attributeNameCharsMax: 128,
  attributeValueBytesMax: 8 * 1024,
  idempotencyKeyCharsMax: 128,
} as const;
