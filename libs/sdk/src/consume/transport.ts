import {
  type ConsumeRequest,
  type ConsumeResponse,
  GroupServiceService,
  type Open,
  type Settle,
} from "@millrace/proto/group";
import type { Channel } from "../rpc/channel.js";

/** How a member reaches its group: a gateway, or memory in tests of handlers. */
export interface GroupTransport {
  join(open: Open): GroupCall;
}

export interface GroupCall {
  /** Ends with the call. Errors: of the call. */
  responses: AsyncIterable<ConsumeResponse>;
  send(settle: Settle): void;
  /** No more will be sent: what is in hand is given back. */
  end(): void;
  /** At once, whatever is under way. */
  cancel(): void;
}

export function gatewayGroups(channel: Channel): GroupTransport {
  return {
    join: (open) => {
      const call = channel.duplex<ConsumeRequest, ConsumeResponse>(GroupServiceService.consume);
      call.write({ kind: { $case: "open", value: open } });
      return {
        responses: call,
        send: (settle) => {
          if (call.writable) call.write({ kind: { $case: "settle", value: settle } });
        },
        end: () => void call.end(),
        cancel: () => call.cancel(),
      };
    },
  };
}
