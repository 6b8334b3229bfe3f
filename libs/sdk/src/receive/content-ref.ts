import { getOrCreateArtifact } from "../stream/artifact.js";
import type { StoredContent } from "../stream/contents.js";
import type { Channel } from "../rpc/channel.js";
import { MillraceError } from "../rpc/millrace-error.js";

/** A content by its name; `read` fetches it, redacted and with its analyses. */
export interface ContentRef {
  /** The message's id, too. */
  id: string;
  stream: string;
  /** As privacy let it pass. */
  sourceId: string;
  /**
   * Waits for a content that is still on its way, as long as a call may take (`deadlineMs`); needs a stream
   * with artifacts. Errors: `not_found` where it is not there by then.
   */
  read(): Promise<StoredContent>;
}

const pauseMs = { first: 10, max: 500 };

export function contentRef(channel: Channel, name: Omit<ContentRef, "read">): ContentRef {
  const { stream, sourceId } = name;
  const { environment, deadlineMs } = channel;
  async function read(): Promise<StoredContent> {
    const until = environment.now() + deadlineMs;
    const artifact = await getOrCreateArtifact(channel, { stream, sourceId, ready: async () => undefined });
    for (let pause = pauseMs.first; ; pause = Math.min(2 * pause, pauseMs.max)) {
      try {
        return await artifact.getContent(name.id);
      } catch (caught) {
        const isMissing = caught instanceof MillraceError && caught.code === "not_found";
        if (!isMissing || environment.now() + pause > until) throw caught;
      }
      await environment.sleep(pause, channel.closed);
    }
  }
  return { ...name, read };
}
