import { CodedError } from "@millrace/errors";
import type { StreamRegistry, StreamStore } from "@millrace/messaging";
import type {
  AddSourceRequest,
  AddSourceResponse,
  ListSourcesRequest,
  ListSourcesResponse,
  RemoveSourceRequest,
  RemoveSourceResponse,
  SourceReport,
} from "@millrace/proto/source";
import { completeSource } from "../stream/source-settings.js";
import { requireStream } from "../stream/stream-name.js";

export interface SourceParts {
  tenant: string;
  store: StreamStore;
  registry: StreamRegistry;
  readReports(of: { tenant: string; stream: string }): Promise<SourceReport[]>;
}

export const addSource =
  ({ tenant, store, registry }: SourceParts) =>
  async (request: AddSourceRequest): Promise<AddSourceResponse> => {
    if (request.source === undefined) {
      const remedy = "Give the stream and the settings of a file source.";
      throw new CodedError("invalid_argument", "add source: source is missing", { field: "source", remedy });
    }
    await requireStream(registry.find, { tenant, name: request.source.stream }, "source.stream");
    const source = completeSource(tenant, request.source);
    await store.putSource(tenant, source);
    return { source };
  };

export const removeSource =
  ({ tenant, store, registry }: SourceParts) =>
  async ({ stream, id }: RemoveSourceRequest): Promise<RemoveSourceResponse> => {
    await requireStream(registry.find, { tenant, name: stream });
    if (!/^[0-9a-f]{32}$/.test(id)) {
      const remedy = "Use the id that AddSource answered with; ListSources shows it.";
      throw new CodedError("invalid_argument", "remove source: that is no id of a source", {
        field: "id",
        remedy,
      });
    }
    if (!registry.sources(tenant, stream).some((source) => source.id === id)) {
      const remedy = "List the stream's sources with ListSources.";
      throw new CodedError("not_found", `remove source: stream ${stream} has none of that id`, {
        field: "id",
        remedy,
      });
    }
    await store.removeSource(tenant, stream, id);
    return {};
  };

export const listSources =
  ({ tenant, registry, readReports }: SourceParts) =>
  async ({ stream }: ListSourcesRequest): Promise<ListSourcesResponse> => {
    await requireStream(registry.find, { tenant, name: stream });
    const sources = registry.sources(tenant, stream);
    const reports = await readReports({ tenant, stream });
    // A removed source leaves its last report behind.
    const ids = new Set(sources.map(({ id }) => id));
    return { sources, reports: reports.filter(({ id }) => ids.has(id)) };
  };
