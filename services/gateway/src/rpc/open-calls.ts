import { CodedError } from "@millrace/errors";
import type { Component } from "@millrace/runtime";

export interface OpenCall {
  /** Aborted with the CodedError that the caller is told. */
  signal: AbortSignal;
  close(): void;
}

/** The streaming calls under way: bounded, and ended when their stream goes or the service stops. */
export interface OpenCalls extends Component {
  /** Errors: `resource_exhausted`, `unavailable` when stopping. */
  open(stream: string): OpenCall;
  /** Ends the calls of a stream. */
  endStream(stream: string, reason: CodedError): void;
}

export interface OpenCallsOptions {
  openMax: number;
  /** The setting that the bound comes from. */
  setting: string;
  onCount?(open: number): void;
}

export function createOpenCalls({
  openMax,
  setting,
  onCount = () => undefined,
}: OpenCallsOptions): OpenCalls {
  const open = new Map<AbortController, string>();
  let isStopping = false;
  const stopping = (): CodedError =>
    new CodedError("unavailable", "the gateway is stopping", {
      retryAfterMs: 500,
      remedy: "Connect again and resume.",
    });
  return {
    name: "open-calls",
    open: (stream) => {
      if (isStopping) throw stopping();
      if (open.size >= openMax) {
        throw new CodedError(
          "resource_exhausted",
          `open stream: ${openMax} are open on this gateway already`,
          {
            retryAfterMs: 1_000,
            remedy: `Close streams that are not needed, or raise ${setting}.`,
          },
        );
      }
      const controller = new AbortController();
      open.set(controller, stream);
      onCount(open.size);
      const close = (): void => {
        open.delete(controller);
        onCount(open.size);
      };
      return { signal: controller.signal, close };
    },
    endStream: (stream, reason) => {
      for (const [controller, of] of open) if (of === stream) controller.abort(reason);
    },
    stop: async () => {
      isStopping = true;
      for (const controller of open.keys()) controller.abort(stopping());
    },
  };
}
