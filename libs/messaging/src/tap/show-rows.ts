import { messageViews, type OpenBatch } from "@millrace/envelope";
import type { Message } from "@millrace/proto/message";
import type { TapResponse } from "@millrace/proto/tap";

/** What of a message's content a tap shows. */
const shownBytesMax = 1024 * 1024;

/** Adds the messages of a batch that there is room for, and counts the others. */
export function showRows(open: OpenBatch, room: { countMax: number; bytesMax: number }): TapResponse {
  const shown: TapResponse = { messages: [], dropped: 0, unseen: 0, gone: 0 };
  let view: ((row: number) => Message) | undefined;
  let bytes = 0;
  for (let row = 0; row < open.header.count; row++) {
    const length = open.columns.lengths[row] as number;
    if (length > shownBytesMax) shown.unseen += 1;
    else if (shown.messages.length >= room.countMax || bytes + length > room.bytesMax) shown.dropped += 1;
    else {
      view ??= messageViews(open);
      shown.messages.push(view(row));
      bytes += length;
    }
  }
  return shown;
}
