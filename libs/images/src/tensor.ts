import sharp from "sharp";
import type { Box } from "./blur.js";
import type { Pixels } from "./decode.js";
import { imageLimits } from "./limits.js";

export interface TensorOptions {
  width: number;
  height: number;
  /** Colour planes one after the other, or colours of a pixel side by side. */
  layout: "nchw" | "nhwc";
  /**
   * letterbox: the whole image, its proportions kept, at the top left on black. cover: as much of its middle
   * as fills the tensor. stretch: the whole image, proportions lost.
   */
  fit: "letterbox" | "cover" | "stretch";
  /** A value is (byte − mean) / deviation. Default 0 and 1. */
  mean?: number;
  deviation?: number;
  /** The part of the image to look at, in whole pixels. Default: all of it. */
  region?: Box;
}

export interface ImageTensor {
  data: Float32Array;
  /** For a model's session: [1, 3, height, width] or [1, height, width, 3]. */
  shape: number[];
  /**
   * Pixels of the image for one of the tensor, along each side; place in the image = place × this + region.
   */
  perPixel: { x: number; y: number };
}

const fits = { letterbox: "contain", cover: "cover", stretch: "fill" } as const;

/** Scales an image for a model. */
export async function toTensor(pixels: Pixels, options: TensorOptions): Promise<ImageTensor> {
  const { width, height, layout, fit, mean = 0, deviation = 1 } = options;
  const region = options.region ?? { x: 0, y: 0, width: pixels.width, height: pixels.height };
  const raw = { width: pixels.width, height: pixels.height, channels: 3 } as const;
  const scaled = await sharp(pixels.data, { raw, limitInputPixels: imageLimits.pixelsMax })
    .extract({ left: region.x, top: region.y, width: region.width, height: region.height })
    .resize(width, height, {
      fit: fits[fit],
      // Only a letterbox is put into a corner, where places need no offset.
      position: fit === "letterbox" ? "left top" : "centre",
      background: "#000000",
    })
    .raw()
    .toBuffer();
  const ratios = { x: region.width / width, y: region.height / height };
  const whole = Math.max(ratios.x, ratios.y);
  return {
    data: laidOut(scaled, layout, (byte) => (byte - mean) / deviation),
    shape: layout === "nchw" ? [1, 3, height, width] : [1, height, width, 3],
    perPixel: fit === "letterbox" ? { x: whole, y: whole } : ratios,
  };
}

/** The same picture, its longest side at most this long. */
export async function shrunk(pixels: Pixels, longest: number): Promise<Pixels> {
  const { width, height } = pixels;
  if (Math.max(width, height) <= longest) return pixels;
  const raw = { width, height, channels: 3 } as const;
  const { data, info } = await sharp(pixels.data, { raw, limitInputPixels: imageLimits.pixelsMax })
    .resize(longest, longest, { fit: "inside" })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

function laidOut(rgb: Uint8Array, layout: "nchw" | "nhwc", value: (byte: number) => number): Float32Array {
  const data = new Float32Array(rgb.length);
  const values = Float32Array.from({ length: 256 }, (_, byte) => value(byte));
  if (layout === "nhwc") {
    for (let i = 0; i < rgb.length; i++) data[i] = values[rgb[i] ?? 0] ?? 0;
    return data;
  }
  const plane = rgb.length / 3;
  for (let i = 0, at = 0; i < plane; i++, at += 3) {
    data[i] = values[rgb[at] ?? 0] ?? 0;
    data[plane + i] = values[rgb[at + 1] ?? 0] ?? 0;
    data[2 * plane + i] = values[rgb[at + 2] ?? 0] ?? 0;
  }
  return data;
}
