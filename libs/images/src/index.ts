/** Images: bounded decoding, tensors for models, blurring, and files without metadata. */
export { type Box, blurBoxes, enlarged, fillBoxes } from "./blur.js";
export { decodeImage, type ImageInfo, inspectImage, type Pixels } from "./decode.js";
export { encodeImage } from "./encode.js";
export { imageLimits } from "./limits.js";
export { type ImageFormat, imageFormats, sniffImage } from "./sniff.js";
export { type ImageTensor, shrunk, type TensorOptions, toTensor } from "./tensor.js";
