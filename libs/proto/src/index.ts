/** The descriptors of every contract as one FileDescriptorSet, for gRPC reflection. */
export const descriptorImage: URL = new URL("../image.binpb", import.meta.url);
export { hiddenText, secretName, shownValue } from "./secret-value.js";
export { strictReader } from "./strict-reader.js";
