import type { GetUsageRequest, GetUsageResponse } from "@millrace/proto/buffer";
import type { Quota } from "../quota/quota.js";

export const getUsage =
  ({ quota }: { quota: Pick<Quota, "usage"> }) =>
  async ({ tenant, stream }: GetUsageRequest): Promise<GetUsageResponse> => ({
    usage: quota.usage({ tenant, stream }),
  });
