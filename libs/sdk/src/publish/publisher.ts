import type { ClientDuplexStream } from "@grpc/grpc-js";
import {
  PublishServiceService,
  type PublishStreamRequest,
  type PublishStreamResponse,
  type Rejection,
} from "@millrace/proto/message";
import { type Code, codes } from "@millrace/errors";
import { type Backoff, createBackoff } from "../rpc/backoff.js";
import type { Channel } from "../rpc/channel.js";
import { isCurable } from "../rpc/follow.js";
import { MillraceError } from "../rpc/millrace-error.js";
import type { Outgoing } from "./outgoing.js";
import { createSendWindow, type Pending, type SendWindow } from "./window.js";

// One long-lived PublishStream, made anew whenever it is cut:
//
//   idle ──publish──► opening ──first response──► open ──cut──► waiting (backoff) ──► opening
//                                                   └─cut, nothing pending─► idle
//   An error that a new connection does not cure, or publishGiveUpMs without an acknowledgement: everything
//   pending is rejected, and what comes next starts a new epoch, since the old one has a hole.
//
// Messages are sent only after the first response, which brings the credits.

export interface Position {
  /** The source that counts: here the epoch of the publisher. */
  source: string;
  /** Place in it: here the sequence number. */
  offset: number;
}

export interface Publisher {
  /** Resolves when the message is durable. Waits where the window is full: that is the back-pressure. */
  publish(outgoing: Outgoing): Promise<Position>;
  /** Resolves when the next message would be taken at once. */
  room(): Promise<void>;
  /** Sends what is pending and waits for it, for `publishGiveUpMs` at most. */
  close(): Promise<void>;
}

type Call = ClientDuplexStream<PublishStreamRequest, PublishStreamResponse>;

/** What may be pending: enough to fill 50 ms of a fast link, and little beside a service's memory. */
const pendingMessagesMax = 16_384;
const pendingBytesMax = 32 * 1024 * 1024;
/** Publishes that wait for room. A caller that never awaits is told so here, before memory runs out. */
const waitingMax = 16_384;
const frameMessagesMax = 1_000;
/** grpc-js moves messages of 256 KiB to 1 MiB fastest. */
const frameBytesMax = 256 * 1024;

interface Session {
  call: Call;
  /** How many messages may be unacknowledged; undefined until the first response. */
  credits: number | undefined;
  isBlocked: boolean;
}

export function createPublisher(channel: Channel, stream: string): Publisher {
  return new StreamPublisher(channel, stream);
}

class StreamPublisher implements Publisher {
  readonly #channel: Channel;
  readonly #stream: string;
  readonly #backoff: Backoff;
  readonly #ended = new AbortController();
  #window: SendWindow = createSendWindow();
  #epoch: string;
  #session: Session | undefined;
  #isRetrying = false;
  /** Since when nothing was acknowledged although connections were tried. */
  #failingSinceMs: number | undefined;
  #flush: (() => void) | undefined;
  /** When the last frame was sent. */
  #frameMs = 0;
  #waiting: Pending[] = [];
  #roomCalls: (() => void)[] = [];
  #isClosing = false;
  #emptyCalls: (() => void)[] = [];

  constructor(channel: Channel, stream: string) {
    this.#channel = channel;
    this.#stream = stream;
    this.#backoff = createBackoff(channel.environment);
    this.#epoch = channel.environment.newId();
    channel.closed.addEventListener("abort", () => this.#end(), { once: true });
  }

  publish({ message, bytes }: Outgoing): Promise<Position> {
    if (this.#isClosing || this.#channel.closed.aborted) {
      return Promise.reject(new MillraceError("failed_precondition", "publish: this processor is closed"));
    }
    if (this.#waiting.length >= waitingMax) {
      const remedy = "Await publish, or publish an array, which waits by itself.";
      const problem = `publish: ${waitingMax} messages wait for room already`;
      return Promise.reject(new MillraceError("resource_exhausted", problem, { remedy }));
    }
    return new Promise((resolve, reject) => {
      const settle = (sequence: number): void => resolve({ source: this.#epoch, offset: sequence });
      this.#waiting.push({ message, bytes, resolve: settle, reject });
      this.#admit();
      this.#schedule();
    });
  }

  async room(): Promise<void> {
    if (this.#hasRoom() && this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => this.#roomCalls.push(resolve));
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#window.size > 0 && !this.#channel.closed.aborted) {
      const { sleep, publishGiveUpMs } = this.#channel.environment;
      const empty = new Promise<void>((resolve) => this.#emptyCalls.push(resolve));
      await Promise.race([empty, sleep(publishGiveUpMs, this.#ended.signal)]);
    }
    this.#end();
  }

  #end(): void {
    this.#isClosing = true;
    this.#ended.abort();
    this.#session?.call.end();
    this.#session = undefined;
    this.#fail(new MillraceError("canceled", "publish: closed before the message was acknowledged"));
  }

  #hasRoom(): boolean {
    return this.#window.size < pendingMessagesMax && this.#window.bytes < pendingBytesMax;
  }

  #admit(): void {
    let admitted = 0;
    for (; admitted < this.#waiting.length && this.#hasRoom(); admitted += 1) {
      const next = this.#waiting[admitted];
      if (next !== undefined) this.#window.add(next);
    }
    if (admitted > 0) this.#waiting.splice(0, admitted);
    if (this.#waiting.length === 0 && this.#hasRoom()) for (const call of this.#roomCalls.splice(0)) call();
    if (this.#window.size === 0) for (const call of this.#emptyCalls.splice(0)) call();
  }

  /**
   * Sends soon: at once where nothing is under way or the last frame is longer ago than the linger, else when
   * that is over. So messages travel together where they come fast, and wait for nobody where they don't.
   */
  #schedule(): void {
    if (this.#session === undefined && !this.#isRetrying) this.#connect();
    if (this.#window.unsentCount >= frameMessagesMax) this.#send();
    if (this.#flush !== undefined || this.#window.unsentCount === 0) return;
    this.#flush = () => {
      this.#flush = undefined;
      this.#send();
    };
    const { lingerMs, now } = this.#channel.environment;
    // The clock may have been set back meanwhile.
    const waitMs = Math.min(lingerMs, lingerMs - (now() - this.#frameMs));
    if (this.#window.sentCount === 0 || waitMs <= 0) setImmediate(this.#flush);
    else setTimeout(this.#flush, waitMs);
  }

  #connect(): void {
    if (this.#ended.signal.aborted) return;
    const call = this.#channel.duplex(PublishServiceService.publishStream);
    const session: Session = { call, credits: undefined, isBlocked: false };
    this.#session = session;
    call.on("data", (response: PublishStreamResponse) => this.#receive(session, response));
    call.on("error", (error: Error) => this.#cut(session, MillraceError.from(error, this.#attempted())));
    call.on("status", () => {
      this.#cut(
        session,
        new MillraceError("unavailable", `${this.#attempted()}: the server ended the stream`),
      );
    });
    call.on("drain", () => {
      session.isBlocked = false;
      this.#send();
    });
    call.write({ kind: { $case: "open", value: { stream: this.#stream, epoch: this.#epoch } } });
  }

  #receive(session: Session, response: PublishStreamResponse): void {
    if (this.#session !== session) return;
    session.credits = response.credits;
    const rejections = new Map(response.rejections.map((each) => [each.sequence, toError(each)]));
    if (this.#window.acknowledge(response.acknowledgedBelow, rejections)) {
      this.#failingSinceMs = undefined;
      this.#backoff.reset();
    }
    this.#admit();
    this.#send();
  }

  #send(): void {
    const session = this.#session;
    if (session?.credits === undefined) return;
    while (!session.isBlocked) {
      const messagesMax = Math.min(frameMessagesMax, session.credits - this.#window.sentCount);
      const frame = this.#window.take({ messagesMax, bytesMax: frameBytesMax });
      if (frame === undefined) return;
      this.#frameMs = this.#channel.environment.now();
      session.isBlocked = !session.call.write({ kind: { $case: "messages", value: frame } });
    }
  }

  #cut(session: Session, error: MillraceError): void {
    if (this.#session !== session) return;
    session.call.cancel();
    this.#session = undefined;
    this.#window.rewind();
    if (this.#window.size === 0) return;
    const nowMs = this.#channel.environment.now();
    this.#failingSinceMs ??= nowMs;
    const isGivenUp = nowMs - this.#failingSinceMs >= this.#channel.environment.publishGiveUpMs;
    if (!isCurable(error) || isGivenUp) this.#fail(error);
    else void this.#retry(error);
  }

  async #retry(error: MillraceError): Promise<void> {
    const waitMs = Math.max(this.#backoff.next(), error.retryAfterMs ?? 0);
    const fields = { code: error.code, reason: error.message, pending: this.#window.size };
    this.#channel.logger.info(fields, "publish stream is cut, connecting again");
    this.#isRetrying = true;
    await this.#channel.environment.sleep(waitMs, this.#ended.signal);
    this.#isRetrying = false;
    if (this.#session === undefined && this.#window.size > 0) this.#connect();
  }

  #fail(error: MillraceError): void {
    this.#window.fail(error);
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    this.#window = createSendWindow();
    this.#epoch = this.#channel.environment.newId();
    this.#failingSinceMs = undefined;
    this.#backoff.reset();
    this.#admit();
  }

  #attempted(): string {
    return `publish to ${this.#stream}`;
  }
}

function toError({ code, reason, field, remedy }: Rejection): MillraceError {
  const name = code.toLowerCase();
  const known: Code = name in codes ? (name as Code) : "invalid_argument";
  return new MillraceError(known, `publish: ${reason}`, {
    ...(field !== "" && { field }),
    ...(remedy !== "" && { remedy }),
  });
}
