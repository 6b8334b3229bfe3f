import type { MillraceClient } from "@millrace/sdk";

/** Where the tour goes: a running Millrace, and what it reads from. */
export interface Places {
  client: MillraceClient;
  kafka: {
    /** `host:port` of a broker. */
    bootstrap: string;
    send(kafkaTopic: string, value: string): Promise<void>;
  };
  /** A WebSocket server that Millrace is allowed to reach. */
  feed: {
    url: string;
    /** What the connection showed for itself. */
    readonly authorization: string | undefined;
    /** Resolves when somebody is connected and it is sent. */
    send(text: string): Promise<void>;
  };
  /** An empty directory that file sources may read. */
  directory: string;
  /** A photograph of a cat, as JPEG. */
  photo: Uint8Array;
}
