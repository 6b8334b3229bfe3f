import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type {
  AppendRequest,
  AppendResponse,
  AppendStreamRequest,
  AppendStreamResponse,
} from "@millrace/proto/buffer";
import { fromStatus, fromStatusBytes, tracedHeaders } from "@millrace/runtime";

/*
 * Appends over one lasting call, made anew when it is cut:
 *
 *   none ──append──► open ──cut, or buffer stops──► none; who waits is told that the outcome is unknown
 */
export interface AppendCalls {
  /** Errors: buffer's refusal; `unavailable`, `deadline_exceeded` where the outcome is unknown. */
  append(request: AppendRequest): Promise<AppendResponse>;
  /** To be called about every second: tells those whose deadline has passed. */
  expire(): void;
  close(): void;
}

export interface AppendCallsOptions {
  call(): Call;
  deadlineMs: number;
  monotonic(): number;
}

type Call = ClientDuplexStream<AppendStreamRequest, AppendStreamResponse>;

interface Waiting {
  dueAt: number;
  resolve(response: AppendResponse): void;
  reject(error: CodedError): void;
}

interface Lasting {
  call: Call;
  /** By number, the oldest first. */
  waiting: Map<number, Waiting>;
}

const attempted = "append to buffer";

export function createAppendCalls(options: AppendCallsOptions): AppendCalls {
  let current: Lasting | undefined;
  let number = 0;

  const cut = (lasting: Lasting, error: CodedError): void => {
    if (current === lasting) current = undefined;
    const waiting = [...lasting.waiting.values()];
    lasting.waiting.clear();
    for (const { reject } of waiting) reject(error);
  };

  const settle = ({ waiting }: Lasting, { number: answered, outcome }: AppendStreamResponse): void => {
    const asked = waiting.get(answered);
    // Its deadline has passed: whoever waited sends it again, and buffer knows it then.
    if (asked === undefined) return;
    waiting.delete(answered);
    if (outcome?.$case === "appended") asked.resolve(outcome.value);
    else asked.reject(fromStatusBytes(outcome?.value ?? new Uint8Array(), attempted));
  };

  const open = (): Lasting => {
    const call = options.call();
    const lasting: Lasting = { call, waiting: new Map() };
    call.on("data", (response: AppendStreamResponse) => settle(lasting, response));
    call.on("error", (error: ServiceError) => cut(lasting, fromStatus(error, attempted)));
    call.on("end", () => {
      // The error of a call that was cut comes behind its end, and tells more.
      setImmediate(() => cut(lasting, new CodedError("unavailable", `${attempted}: buffer ended the call`)));
      call.end();
    });
    current = lasting;
    return lasting;
  };

  return {
    append: (append) =>
      new Promise((resolve, reject) => {
        const { call, waiting } = current ?? open();
        number += 1;
        waiting.set(number, { dueAt: options.monotonic() + options.deadlineMs, resolve, reject });
        call.write({ number, append, trace: tracedHeaders() });
      }),
    expire: () => {
      const now = options.monotonic();
      for (const [late, { dueAt, reject }] of current?.waiting ?? []) {
        if (dueAt > now) return;
        current?.waiting.delete(late);
        reject(new CodedError("deadline_exceeded", `${attempted}: no answer in ${options.deadlineMs} ms`));
      }
    },
    close: () => {
      const lasting = current;
      if (lasting === undefined) return;
      cut(lasting, new CodedError("canceled", `${attempted}: this process stops`));
      lasting.call.cancel();
    },
  };
}
