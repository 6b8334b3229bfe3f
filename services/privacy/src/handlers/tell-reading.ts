import type { ReadingRequest, ReadingResponse } from "@millrace/proto/work";
import type { BodyReader } from "@millrace/segments";

/** How the bodies of a stream are read here, for its status. */
export const tellReading =
  (reader: Pick<BodyReader, "unmappedReason" | "readBytes">) =>
  async ({ tenant, stream }: ReadingRequest): Promise<ReadingResponse> => {
    const { mapped, read, inline } = reader.readBytes(tenant, stream);
    return {
      unmappedReason: reader.unmappedReason ?? "",
      mappedBytes: mapped,
      readBytes: read,
      inlineBytes: inline,
    };
  };
