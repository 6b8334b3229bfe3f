import type { StreamRegistry, StreamStore } from "@millrace/messaging";
import type {
  GetSourceRequest,
  GetSourceResponse,
  ListSourcesRequest,
  ListSourcesResponse,
  SourceReport,
} from "@millrace/proto/source";
import { requireSource } from "../../source/require-source.js";
import { reportOf } from "../../source/source-report.js";
import { shownSource } from "../../source/source-settings.js";
import { requireStream } from "../../stream/stream-name.js";

export interface ReadSourceParts {
  tenant: string;
  registry: StreamRegistry;
  store: StreamStore;
  readReports(of: { tenant: string; stream: string }): Promise<SourceReport[]>;
}

export const getSource =
  ({ tenant, registry, store, readReports }: ReadSourceParts) =>
  async ({ stream: name, id }: GetSourceRequest): Promise<GetSourceResponse> => {
    const stream = await requireStream(registry.find, { tenant, name });
    const source = await requireSource(store, { tenant, stream: name, id, verb: "get" });
    return {
      source: shownSource(source),
      report: reportOf(source, stream, await readReports({ tenant, stream: name })),
    };
  };

export const listSources =
  ({ tenant, registry, readReports }: ReadSourceParts) =>
  async ({ stream: name }: ListSourcesRequest): Promise<ListSourcesResponse> => {
    const stream = await requireStream(registry.find, { tenant, name });
    const sources = registry.sources(tenant, name);
    const reports = await readReports({ tenant, stream: name });
    return {
      sources: sources.map(shownSource),
      reports: sources.map((source) => reportOf(source, stream, reports)),
    };
  };
