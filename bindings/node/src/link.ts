/**
 * A connection that lasts: it dials, sends what is asked, and after a loss dials again, with growing pauses. Reads are asked
 * again on the next connection; a write that was sent and not answered is OutcomeUnknown, and never sent twice. Subscriptions
 * are made again by their streams, which know how far they are.
 */

import { connect as dial } from "node:net";
import type { Socket } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Core } from "./core.js";
import type { CoreEvent, InvalidKey, Item } from "./core.js";
import { Busy, Disconnected, FreshetError, OutcomeUnknown, ProtocolError, Timeout } from "./errors.js";
import { Opcode } from "./frame.js";
import type { SubscribeSchema, Welcome } from "./generated/freshet_pb.js";

/** A subscription, as the connection sees it. It is told everything from the connection's turn, and may not throw. */
export interface Stream {
  /** From where, and what: asked at each (re)connect. */
  request(): MessageInitShape<typeof SubscribeSchema>;
  subscribed(position: string): void;
  changes(items: Item[], bytes: number): void;
  invalidate(position: string, isLive: boolean, keys: InvalidKey[]): void;
  /** It is over, by the server's word. To go on it subscribes again. */
  ended(error: FreshetError): void;
  /** The server is going, and has sent everything up to the position. */
  moved(position: string): void;
  /** The connection is lost; the next one subscribes again by itself, unless the error is a ProtocolError. */
  disconnected(error: FreshetError): void;
}

export interface LinkOptions {
  host: string;
  port: number;
  token: string;
  features: string[];
  client: string;
  connectTimeoutMs: number;
  requestTimeoutMs: number;
  heartbeatMs: number;
  /** Without a byte from the server for so long, while a PING waits, the connection counts as lost. */
  silenceMs: number;
  reconnects: boolean;
  /** The PING that was sent then has been answered. */
  ponged: (sentAtMs: number) => void;
}

/** What the server answered. */
export interface Answer {
  code: number;
  body: Uint8Array;
}

export interface RequestOptions {
  /** A write is never sent twice. */
  isWrite?: boolean;
  timeoutMs?: number | undefined;
  /** Called each time when it is sent. */
  sent?: () => void;
}

interface Request extends RequestOptions {
  opcode: number;
  body: Uint8Array;
  /** 0 while it waits for a connection. */
  id: number;
  timer: NodeJS.Timeout;
  resolve: (answer: Answer) => void;
  reject: (error: FreshetError) => void;
}

const REQUESTS_MAX = 1 << 17;
const PINGS_MAX = 64;
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 5_000;
/** Up to here one copy and one write is cheaper than many buffers. */
const JOINED_BYTES_MAX = 1 << 16;

export class Link {
  readonly #options: LinkOptions;
  readonly #requests = new Set<Request>();
  readonly #inFlight = new Map<number, Request>();
  readonly #streams = new Set<Stream>();
  readonly #streamOfId = new Map<number, Stream>();
  readonly #idOfStream = new Map<Stream, number>();
  readonly #pings = new Map<number, number>();
  #core: Core | null = null;
  #socket: Socket | null = null;
  #isOpen = false;
  #isDraining = false;
  #isClosed = false;
  #isFlushing = false;
  #attempts = 0;
  #lastError: FreshetError | null = null;
  #redial: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #hasReceived = false;
  #silentTicks = 0;
  #opened: { resolve: () => void; reject: (error: FreshetError) => void } | null = null;
  #idle: (() => void) | null = null;
  #welcome: Welcome | null = null;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** What the server said of itself when the newest connection began. */
  get welcome(): Welcome | null {
    return this.#welcome;
  }

  /** The first connection. When it fails there will be no other. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opened = { resolve, reject };
      this.#dial();
    });
  }

  /** Asks the server; resolves with its answer, rejects with its ERROR or with what happened to the connection. */
  request(opcode: number, body: Uint8Array | undefined, options: RequestOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(new Disconnected("the client is closed"));
        return;
      }
      if (this.#requests.size >= REQUESTS_MAX) {
        reject(new Busy(`${REQUESTS_MAX} requests are waiting already`));
        return;
      }
      const request: Request = { ...options, opcode, body: body ?? new Uint8Array(0), id: 0, timer: undefined!, resolve, reject };
      request.timer = setTimeout(() => this.#expire(request), options.timeoutMs ?? this.#options.requestTimeoutMs);
      this.#requests.add(request);
      if (this.#isOpen && !this.#isDraining) {
        this.#send(request);
      }
    });
  }

  /**
   * Asks, and reads the answer. One that cannot be read ends the connection: whoever sends such answers is not to be trusted
   * with the next.
   */
  async ask<T>(opcode: number, body: Uint8Array | undefined, read: (answer: Answer) => T, options: RequestOptions = {}): Promise<T> {
    const answer = await this.request(opcode, body, options);
    try {
      return read(answer);
    } catch (error) {
      if (error instanceof ProtocolError) {
        this.#down(error);
      }
      throw error;
    }
  }

  /** Subscribes now and after each reconnect, until it is detached or ended. */
  attach(stream: Stream): void {
    if (this.#isClosed) {
      process.nextTick(() => stream.ended(new Disconnected("the client is closed")));
      return;
    }
    this.#streams.add(stream);
    if (this.#isOpen && !this.#isDraining) {
      this.#subscribe(stream);
    }
  }

  /** No more of it; the server is told. */
  detach(stream: Stream): void {
    this.#streams.delete(stream);
    const id = this.#forgetStream(stream);
    if (id !== undefined && this.#core !== null) {
      this.#core.unsubscribe(id);
      this.#flushSoon();
    }
  }

  /** So many more changes may come. Without a connection it is no matter: the next SUBSCRIBE says how many. */
  credit(stream: Stream, changes: number): void {
    const id = this.#idOfStream.get(stream);
    if (id !== undefined && this.#core !== null) {
      this.#core.credit(id, changes);
      this.#flushSoon();
    }
  }

  /** Sends a PING whose answer is told to `ponged`. */
  ping(): void {
    if (this.#isOpen && !this.#isDraining && this.#core !== null && this.#pings.size < PINGS_MAX) {
      this.#pings.set(this.#core.request(Opcode.PING), performance.now());
      this.#flush();
    }
  }

  /** Waits for what is in flight, and ends the connection. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) {
      this.detach(stream);
    }
    if (this.#requests.size > 0 && this.#isOpen) {
      await new Promise<void>((resolve) => (this.#idle = resolve));
    }
    clearTimeout(this.#redial);
    const error = new Disconnected("the client is closed");
    this.#down(error);
    this.#giveUp(error);
  }

  #dial(): void {
    const { host, port, token, client, features, connectTimeoutMs } = this.#options;
    const core = new Core({ token, client, features });
    const socket = dial({ host, port, noDelay: true, keepAlive: true });
    this.#core = core;
    this.#socket = socket;
    const timer = setTimeout(() => {
      this.#down(new Timeout(`${this.#place} did not answer within ${connectTimeoutMs} ms`));
    }, connectTimeoutMs);
    let cause: NodeJS.ErrnoException | undefined;
    socket.once("connect", () => this.#flush());
    socket.on("data", (chunk) => {
      if (this.#core === core) {
        this.#received(core, chunk);
      }
      if (core.welcome !== null) {
        clearTimeout(timer);
      }
    });
    socket.on("error", (error) => (cause = error));
    socket.on("close", () => {
      clearTimeout(timer);
      if (this.#core === core) {
        const what = this.#isOpen ? `the connection to ${this.#place} is lost` : `no connection to ${this.#place}`;
        // Of a name with several addresses the error has a code, and no message.
        const why = cause === undefined ? "" : `: ${cause.message || cause.code}`;
        this.#down(new Disconnected(what + why, { cause }));
      }
    });
  }

  get #place(): string {
    return `${this.#options.host}:${this.#options.port}`;
  }

  #received(core: Core, chunk: Uint8Array): void {
    this.#hasReceived = true;
    for (const event of core.receive(chunk)) {
      this.#take(event);
      if (this.#core !== core) {
        return;
      }
    }
    if (this.#isDraining && this.#inFlight.size === 0) {
      this.#down(new Disconnected(`${this.#place} is shutting down`));
    }
  }

  #take(event: CoreEvent): void {
    switch (event.type) {
      case "welcome":
        this.#welcomed(event.welcome);
        return;
      case "answer":
        this.#answered(event.id, event.code, event.body);
        return;
      case "failed":
        this.#pings.delete(event.id);
        this.#finishId(event.id)?.reject(event.error);
        return;
      case "subscribed":
        this.#streamOfId.get(event.id)?.subscribed(event.position);
        return;
      case "changes":
        this.#streamOfId.get(event.id)?.changes(event.items, event.bytes);
        return;
      case "invalidate":
        this.#streamOfId.get(event.id)?.invalidate(event.position, event.live, event.keys);
        return;
      case "ended":
        this.#ended(event.id, event.error);
        return;
      case "goaway":
        this.#goaway(event.positions);
        return;
      case "fatal":
        this.#down(event.error);
        return;
    }
  }

  #welcomed(welcome: Welcome): void {
    this.#welcome = welcome;
    this.#isOpen = true;
    this.#attempts = 0;
    this.#lastError = null;
    this.#silentTicks = 0;
    this.#heartbeat = setInterval(() => this.#tick(), this.#options.heartbeatMs);
    for (const stream of this.#streams) {
      this.#subscribe(stream);
    }
    for (const request of this.#requests) {
      this.#send(request);
    }
    this.#opened?.resolve();
    this.#opened = null;
  }

  #answered(id: number, code: number, body: Uint8Array): void {
    const sentAtMs = this.#pings.get(id);
    if (sentAtMs !== undefined) {
      this.#pings.delete(id);
      this.#options.ponged(sentAtMs);
      return;
    }
    this.#finishId(id)?.resolve({ code, body });
  }

  #ended(id: number, error: FreshetError): void {
    const stream = this.#streamOfId.get(id);
    if (stream !== undefined) {
      this.#forgetStream(stream);
      this.#streams.delete(stream);
      stream.ended(error);
    }
  }

  #goaway(positions: ReadonlyMap<number, string>): void {
    this.#isDraining = true;
    for (const [id, position] of positions) {
      this.#streamOfId.get(id)?.moved(position);
    }
  }

  /* One PING each time. A loop that was busy elsewhere ticks once, however long it was, so that our own pause is no silence. */
  #tick(): void {
    const isSilent = this.#pings.size > 0 && !this.#hasReceived;
    this.#silentTicks = isSilent ? this.#silentTicks + 1 : 0;
    this.#hasReceived = false;
    const silentMs = this.#silentTicks * this.#options.heartbeatMs;
    if (silentMs >= this.#options.silenceMs) {
      this.#down(new Disconnected(`${this.#place} is silent since ${silentMs} ms`));
      return;
    }
    this.ping();
  }

  #subscribe(stream: Stream): void {
    const core = this.#core as Core;
    try {
      const id = core.subscribe(stream.request());
      this.#streamOfId.set(id, stream);
      this.#idOfStream.set(stream, id);
      this.#flushSoon();
    } catch (error) {
      this.#streams.delete(stream);
      process.nextTick(() => stream.ended(error as FreshetError));
    }
  }

  #forgetStream(stream: Stream): number | undefined {
    const id = this.#idOfStream.get(stream);
    if (id !== undefined) {
      this.#idOfStream.delete(stream);
      this.#streamOfId.delete(id);
    }
    return id;
  }

  #send(request: Request): void {
    const core = this.#core as Core;
    try {
      request.id = core.request(request.opcode, request.body);
    } catch (error) {
      this.#finish(request).reject(error as FreshetError);
      return;
    }
    this.#inFlight.set(request.id, request);
    request.sent?.();
    this.#flushSoon();
  }

  #finishId(id: number): Request | undefined {
    const request = this.#inFlight.get(id);
    return request === undefined ? undefined : this.#finish(request);
  }

  #finish(request: Request): Request {
    clearTimeout(request.timer);
    this.#inFlight.delete(request.id);
    this.#requests.delete(request);
    if (this.#requests.size === 0) {
      this.#idle?.();
    }
    return request;
  }

  #expire(request: Request): void {
    const timeoutMs = request.timeoutMs ?? this.#options.requestTimeoutMs;
    this.#finish(request);
    if (request.id === 0) {
      const why = this.#lastError === null ? "" : `: ${this.#lastError.detail}`;
      const cause = this.#lastError ?? undefined;
      request.reject(new Disconnected(`not sent; no connection to ${this.#place} for ${timeoutMs} ms${why}`, { cause }));
    } else if (request.isWrite === true) {
      request.reject(new OutcomeUnknown(`the write was sent and not answered within ${timeoutMs} ms`, { type: "outcome-unknown" }));
    } else {
      request.reject(new Timeout(`no answer within ${timeoutMs} ms`));
    }
  }

  /* What is asked in one turn of the event loop goes out in one write, behind the promises' turns. */
  #flushSoon(): void {
    if (!this.#isFlushing) {
      this.#isFlushing = true;
      process.nextTick(() => {
        this.#isFlushing = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    const socket = this.#socket;
    if (this.#core === null || socket === null || socket.connecting) {
      return;
    }
    const output = this.#core.takeOutput();
    const size = output.reduce((sum, piece) => sum + piece.length, 0);
    if (size <= JOINED_BYTES_MAX) {
      if (size > 0) {
        socket.write(Buffer.concat(output, size));
      }
      return;
    }
    socket.cork();
    for (const piece of output) {
      socket.write(piece);
    }
    socket.uncork();
  }

  /* The connection is over. Whoever waits learns it, or goes on with the next one. */
  #down(error: FreshetError): void {
    const socket = this.#socket;
    if (socket === null) {
      return;
    }
    this.#core = null;
    this.#socket = null;
    this.#isOpen = false;
    this.#isDraining = false;
    this.#lastError = error;
    this.#pings.clear();
    clearInterval(this.#heartbeat);
    this.#release(socket);
    this.#failInFlight(error);
    this.#streamOfId.clear();
    this.#idOfStream.clear();
    for (const stream of [...this.#streams]) {
      if (error instanceof ProtocolError) {
        this.#streams.delete(stream);
      }
      stream.disconnected(error);
    }
    if (this.#opened !== null) {
      this.#isClosed = true;
      this.#opened.reject(error);
      this.#opened = null;
    } else if (this.#options.reconnects && !this.#isClosed) {
      this.#redial = setTimeout(() => this.#dial(), this.#pauseMs());
    } else {
      this.#giveUp(error);
    }
  }

  /* There will be no other connection. */
  #giveUp(error: FreshetError): void {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) {
      this.#streams.delete(stream);
      stream.ended(error);
    }
    for (const request of [...this.#requests]) {
      this.#finish(request).reject(error);
    }
    this.#idle?.();
  }

  /* What was written is still sent, and what comes is of no interest. */
  #release(socket: Socket): void {
    if (this.#isClosed && !socket.connecting) {
      socket.end();
      socket.resume();
      socket.setTimeout(1_000, () => socket.destroy());
      socket.unref();
    } else {
      socket.destroy();
    }
  }

  #failInFlight(error: FreshetError): void {
    for (const request of [...this.#inFlight.values()]) {
      if (request.isWrite === true) {
        const detail = `the write was sent, and not answered: ${error.detail}`;
        this.#finish(request).reject(new OutcomeUnknown(detail, { type: "outcome-unknown", cause: error }));
      } else if (error instanceof ProtocolError || this.#isClosed) {
        this.#finish(request).reject(error);
      } else {
        request.id = 0;
      }
    }
    this.#inFlight.clear();
  }

  /* Growing, and different for each client, so that a thousand of them do not come back at once. */
  #pauseMs(): number {
    const pauseMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(this.#attempts, 16));
    this.#attempts++;
    return pauseMs * (0.5 + Math.random() / 2);
  }
}
