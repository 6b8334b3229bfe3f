import { CodedError } from "@millrace/errors";
import {
  type EndLeaseRequest,
  type EndLeaseResponse,
  type LeaseSegmentRequest,
  type LeaseSegmentResponse,
  type RenewLeaseRequest,
  type RenewLeaseResponse,
  type SegmentLease,
  Side,
} from "@millrace/proto/buffer";
import type { SegmentLeases } from "@millrace/segments";
import type { Refusals } from "../quota/refusals.js";

export interface LeaseParts {
  sides: Record<"raw" | "clean", SegmentLeases>;
  /** Names the directory of buffer's segments below that of a side. */
  owner: string;
  segmentBytes: number;
  leaseMs: number;
  refusals: Pick<Refusals, "note">;
}

const names = { [Side.SIDE_RAW]: "raw", [Side.SIDE_CLEAN]: "clean" } as const;

function sideOf(side: Side): "raw" | "clean" {
  if (side === Side.SIDE_RAW || side === Side.SIDE_CLEAN) return names[side];
  throw new CodedError("invalid_argument", "lease: no side", {
    field: "side",
    remedy: "Set SIDE_RAW or SIDE_CLEAN.",
  });
}

function leaseOf(lease: SegmentLease | undefined): SegmentLease {
  if (lease === undefined) throw new CodedError("invalid_argument", "lease: no lease", { field: "lease" });
  return lease;
}

export const leaseSegment =
  ({ sides, owner, segmentBytes, leaseMs, refusals }: LeaseParts) =>
  async ({ writer, side }: LeaseSegmentRequest): Promise<LeaseSegmentResponse> => {
    if (!/^[a-z0-9-]{1,64}$/.test(writer)) {
      throw new CodedError("invalid_argument", "lease: the writer has no name", {
        field: "writer",
        remedy: "Name it by service and instance: letters, digits and hyphens.",
      });
    }
    const name = sideOf(side);
    const key = await sides[name].grant(writer).catch((caught: unknown) => {
      // Only ingestion leases; for which of its streams is not known here.
      refusals.note({ sender: "ingestion", stream: "" }, CodedError.from(caught));
      throw caught;
    });
    return { lease: { side, ...key }, log: `${name}/${owner}`, segmentBytes, leaseMs };
  };

export const renewLease =
  ({ sides }: LeaseParts) =>
  async (request: RenewLeaseRequest): Promise<RenewLeaseResponse> => {
    const lease = leaseOf(request.lease);
    sides[sideOf(lease.side)].renew(lease);
    return {};
  };

export const endLease =
  ({ sides }: LeaseParts) =>
  async ({ writer, lease, writtenTo }: EndLeaseRequest): Promise<EndLeaseResponse> => {
    if (lease === undefined) {
      // Its earlier life is gone: what it left counts before the new one asks where to resume.
      await Promise.all([sides.raw.endAllOf(writer), sides.clean.endAllOf(writer)]);
    } else await sides[sideOf(lease.side)].end(lease, writtenTo);
    return {};
  };
