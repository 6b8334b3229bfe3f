import { status } from "@grpc/grpc-js";
import type { GroupServiceServer } from "@millrace/proto/group";
import type { GroupCall } from "../consume/transport.js";
import { createMemoryGroup, type MemoryGroup } from "../testing/memory-group.js";
import { refusal } from "./refusal.js";
import { takeFailure } from "./serve-streams.js";
import type { Served } from "./state.js";

/** Groups as the test harness keeps them, over the results of the state. */
export function groupService(served: Served): GroupServiceServer {
  const { state, changed, onChange } = served;
  const unserved = (): Error => refusal(status.UNIMPLEMENTED, "not served here");
  return {
    consume: (call) => {
      let joined: GroupCall | undefined;
      let stop = (): void => undefined;
      call.on("data", ({ kind }) => {
        if (kind?.$case === "settle") joined?.send(kind.value);
        if (kind?.$case !== "open") return;
        state.calls.push({ method: "consume", request: kind.value });
        const failure = takeFailure(served, "consume");
        if (failure !== undefined) {
          call.emit("error", failure);
          return changed();
        }
        const group = groupIn(served, kind.value.group);
        stop = onChange(() => feed(served, kind.value.group));
        joined = group.transport.join(kind.value);
        const { responses } = joined;
        void (async () => {
          for await (const response of responses) if (!call.cancelled) call.write(response);
        })();
        changed();
      });
      const leave = (): void => {
        stop();
        joined?.end();
        joined = undefined;
      };
      call.on("end", () => {
        leave();
        call.end();
      });
      call.on("cancelled", () => {
        leave();
        changed();
      });
      call.on("error", () => undefined);
    },
    listGroups: (_, done) => done(unserved()),
    deleteGroup: (_, done) => done(unserved()),
  };
}

function groupIn({ state }: Served, name: string): MemoryGroup {
  const known = state.groups.get(name);
  if (known !== undefined) return known.group;
  const group = createMemoryGroup(() => performance.timeOrigin + performance.now());
  state.groups.set(name, { group, next: state.results.length });
  return group;
}

function feed({ state }: Served, name: string): void {
  const of = state.groups.get(name);
  if (of === undefined) return;
  const fresh = state.results.slice(of.next);
  of.next = state.results.length;
  for (const message of fresh.flat()) of.group.publish(message);
}
