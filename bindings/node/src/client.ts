/** The calls. */

import { Consumers } from "./consumers.js";
import { decodeControl, encodeControl } from "./core.js";
import { decode, encode } from "./document.js";
import type { Document } from "./document.js";
import { Busy, Invalid, OutcomeUnknown, PositionExpired, ProtocolError } from "./errors.js";
import type { FreshetError } from "./errors.js";
import { Feed } from "./feed.js";
import { Opcode } from "./frame.js";
import { AckSchema, From, StatsSchema } from "./generated/freshet_pb.js";
import { Link } from "./link.js";
import type { Answer, Stream } from "./link.js";
import { NearCache } from "./near.js";
import type { Fill, NearStatistics } from "./near.js";
import * as requests from "./requests.js";
import type { Result, State } from "./requests.js";
import { ASYNC_DISPOSE, Subscription } from "./subscription.js";
import type { CallOptions, ConnectOptions, CreateOptions, DeleteOptions, Found } from "./types.js";
import type { GetOptions, ListFilter, ListOptions, Operation, OperationResult, PatchOptions, PutOptions } from "./types.js";
import type { ServerInfo, SubscribeOptions, Written } from "./types.js";

const PORT_DEFAULT = 7400;
const LEASE_MS_DEFAULT = 2_000;
const LEASE_MS_LEAST = 200;
const CONNECT_TIMEOUT_MS_DEFAULT = 5_000;
const TIMEOUT_MS_DEFAULT = 30_000;
const HEARTBEAT_MS = 5_000;
const SILENCE_MS = 10_000;
const PROGRESS_MS_LEAST = 50;
const MGET_MAX = 1000;
const BATCH_MAX = 1000;
const NEAR_RETRY_MS = 1_000;
export const VERSION = "0.1.0";

/**
 * Connects to a server: `freshet://HOST[:PORT]`, port 7400 without one.
 *
 * Only the first connection is made here; when it fails, that is thrown. Later ones are made by themselves, as they are needed.
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Client> {
  const client = new Client(url, options);
  await client.open();
  return client;
}

/** A connection to a server. Made by {@link connect}. */
export class Client {
  readonly #link: Link;
  readonly #near: NearCache | null;
  readonly #feeds = new Set<Feed>();
  /** Named positions that the server keeps. */
  readonly consumers: Consumers;

  /** @internal */
  constructor(url: string | URL, options: ConnectOptions) {
    const nearBytes = options.nearCacheBytes ?? 0;
    const leaseMs = options.nearCacheLeaseMs ?? LEASE_MS_DEFAULT;
    if (!(nearBytes >= 0) || !(leaseMs >= LEASE_MS_LEAST)) {
      throw new Invalid(`nearCacheBytes is at least 0 and nearCacheLeaseMs at least ${LEASE_MS_LEAST}`);
    }
    this.#near = nearBytes > 0 ? new NearCache(nearBytes, leaseMs) : null;
    const program = options.clientName === undefined ? "" : ` ${options.clientName}`;
    this.#link = new Link({
      ...addressOf(url),
      token: options.token ?? "",
      features: [...(options.checked === true ? ["checked"] : []), ...(this.#near === null ? [] : ["invalidate"])],
      client: `freshet-node/${VERSION}${program}`,
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS_DEFAULT,
      requestTimeoutMs: options.timeoutMs ?? TIMEOUT_MS_DEFAULT,
      heartbeatMs: this.#near === null ? HEARTBEAT_MS : Math.min(HEARTBEAT_MS, leaseMs / 4),
      silenceMs: SILENCE_MS,
      reconnects: options.reconnect ?? true,
      ponged: (sentAtMs) => this.#near?.ponged(sentAtMs),
    });
    this.consumers = new Consumers(this.#link);
    if (this.#near !== null) {
      this.#link.attach(nearStream(this.#link, this.#near, Math.max(PROGRESS_MS_LEAST, Math.floor(leaseMs / 4))));
    }
  }

  /** @internal */
  open(): Promise<void> {
    return this.#link.open();
  }

  /** What the server said of itself at the beginning of the newest connection. */
  get server(): ServerInfo {
    const welcome = this.#link.welcome;
    const store = Buffer.from(welcome?.store ?? []).toString("hex");
    return { server: welcome?.server ?? "", store, features: welcome?.features ?? [], position: welcome?.position ?? "" };
  }

  /** What the near cache has done; null without one. */
  nearStatistics(): NearStatistics | null {
    return this.#near?.statistics ?? null;
  }

  /** The record, or null when there is none. It is the caller's own: nobody else has the same object. */
  async get<T extends object = Document>(collection: string, id: string, options: GetOptions = {}): Promise<T | null> {
    return (await this.find<T>(collection, id, options))?.record ?? null;
  }

  /** The record with its version and etag, or null when there is none. */
  async find<T extends object = Document>(collection: string, id: string, options: GetOptions = {}): Promise<Found<T> | null> {
    const isPlain = options.fresh !== true && options.minPosition === undefined;
    const key = NearCache.key(collection, id);
    const cached = isPlain ? (this.#near?.get(key, performance.now()) ?? null) : null;
    if (cached !== null) {
      return requests.foundOf<T>(requests.stateOf(decode(cached)), true);
    }
    const body = encode(requests.getParts(collection, id, options));
    const [state] = await this.#filling([key], Opcode.GET, body, options, (answer) => [requests.stateOf(decode(answer.body))]);
    return requests.foundOf<T>(state as State, false);
  }

  /** Many records at once, in the order of their ids; null for each that is not there. */
  async getMany<T extends object = Document>(collection: string, ids: readonly string[], options: CallOptions = {}): Promise<(T | null)[]> {
    const records = new Array<T | null>(ids.length).fill(null);
    let missing: number[] = [];
    for (const [i, id] of ids.entries()) {
      const cached = this.#near?.get(NearCache.key(collection, id), performance.now()) ?? null;
      if (cached === null) {
        missing.push(i);
      } else {
        records[i] = requests.stateOf(decode(cached)).record as T | null;
      }
    }
    while (missing.length > 0) {
      const asked = missing.slice(0, MGET_MAX);
      const states = await this.#getPage(collection, asked.map((i) => ids[i] as string), options);
      states.forEach((state, at) => (records[asked[at] as number] = state.record as T | null));
      missing = missing.slice(states.length);
    }
    return records;
  }

  /** Makes a record under an id that the server makes. */
  create(collection: string, document: object, options: CreateOptions = {}): Promise<Written> {
    return this.#write(Opcode.CREATE, collection, null, requests.createParts.bind(null, collection, document, options), options);
  }

  /** Makes a record, or replaces it. */
  put(collection: string, id: string, document: object, options: PutOptions = {}): Promise<Written> {
    return this.#write(Opcode.PUT, collection, id, requests.putParts.bind(null, collection, id, document, options), options);
  }

  /** Changes members of a record by an RFC 7396 merge patch: null removes one. @throws NotFound when there is no record. */
  patch(collection: string, id: string, patch: object, options: PatchOptions = {}): Promise<Written> {
    return this.#write(Opcode.PATCH, collection, id, requests.patchParts.bind(null, collection, id, patch, options), options);
  }

  /** Deletes a record. @returns whether it was there. */
  async delete(collection: string, id: string, options: DeleteOptions = {}): Promise<boolean> {
    const parts = requests.deleteParts.bind(null, collection, id, options);
    return (await this.#write(Opcode.DELETE, collection, id, parts, options)).changed;
  }

  /**
   * The records of a collection in the order of their ids, all, or those with a value in a declared index field. Pages are
   * fetched as they are needed; writes in between are seen or not, no record comes twice.
   */
  async *list<T extends object = Document>(
    collection: string,
    filter: ListFilter = {},
    options: ListOptions = {},
  ): AsyncGenerator<T, void, undefined> {
    let cursor: unknown = null;
    do {
      const body = requests.listBody(collection, filter, options, cursor);
      const read = (answer: Answer): { cursor: unknown; records: Document[] } => this.#listed(collection, requests.pageOf(answer));
      const page = await this.#link.ask(Opcode.LIST, body, read, { timeoutMs: options.timeoutMs });
      yield* page.records as object[] as T[];
      cursor = page.cursor;
    } while (cursor !== null);
  }

  /**
   * Many operations in one round trip, at most 1000. Each stands for itself: it is no transaction. The results are in the order
   * of the operations, as of `Promise.allSettled`.
   */
  async batch<const O extends readonly Operation[]>(
    operations: O,
    options: CallOptions = {},
  ): Promise<{ -readonly [I in keyof O]: PromiseSettledResult<OperationResult<O[I]>> }> {
    if (operations.length > BATCH_MAX) {
      throw new Invalid(`a batch has at most ${BATCH_MAX} operations, not ${operations.length}`);
    }
    const body = encode(operations.map(requests.operationParts));
    const isWrite = operations.some((operation) => operation.op !== "get");
    const read = (answer: Answer): unknown => {
      const results = requests.arrayOf(answer.body, operations.length);
      return operations.map((operation, i) => this.#settled(operation, results[i]));
    };
    try {
      return (await this.#link.ask(Opcode.BATCH, body, read, { timeoutMs: options.timeoutMs, isWrite })) as never;
    } catch (error) {
      operations.forEach((operation) => this.#forgetUnknown(error, operation.collection, "id" in operation ? operation.id : null));
      throw error;
    }
  }

  /**
   * Changes as they happen.
   *
   * @example
   * for await (const change of db.subscribe({ collection: "products", pattern: { changed: ["price"] } })) {
   *   console.log(change.id, change.newImage);
   * }
   */
  subscribe<T extends object = Document>(options: SubscribeOptions = {}): Subscription<T> {
    const { signal } = options;
    signal?.throwIfAborted();
    const feed = new Feed(this.#link, options);
    const abort = (): void => feed.end(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#feeds.add(feed);
    feed.over = () => {
      signal?.removeEventListener("abort", abort);
      this.#feeds.delete(feed);
    };
    feed.arrived = ({ collection, id }) => this.#near?.changed(NearCache.key(collection ?? "", id ?? ""));
    this.#link.attach(feed);
    return new Subscription<T>(feed, (consumer, position, member) => this.ack(consumer, position, { member }));
  }

  /** All changes up to the position are done with, by the consumer, or by this member of it. */
  async ack(consumer: string, position: string, options: CallOptions & { member?: string } = {}): Promise<void> {
    if (consumer === "") {
      throw new Invalid("only a named consumer acknowledges");
    }
    const body = encodeControl(AckSchema, { consumer, position, member: options.member ?? "" });
    await this.#link.request(Opcode.ACK, body, { timeoutMs: options.timeoutMs });
    for (const feed of this.#feeds) {
      if (feed.consumer === consumer) {
        feed.acknowledged(position);
      }
    }
  }

  /** A choice of the server's metrics, under their names in /metrics. */
  stats(options: CallOptions = {}): Promise<Map<string, number>> {
    const read = (answer: Answer): Map<string, number> =>
      new Map(decodeControl(StatsSchema, answer.body).metrics.map(({ name, value }) => [name, value]));
    return this.#link.ask(Opcode.STATS, undefined, read, { timeoutMs: options.timeoutMs });
  }

  /** A round trip to the server. @returns how long it took, in milliseconds. */
  async ping(options: CallOptions = {}): Promise<number> {
    const startMs = performance.now();
    await this.#link.request(Opcode.PING, undefined, { timeoutMs: options.timeoutMs });
    return performance.now() - startMs;
  }

  /** Ends the subscriptions, waits for what is in flight, and closes the connection. */
  async close(): Promise<void> {
    for (const feed of [...this.#feeds]) {
      feed.end();
    }
    await this.#link.close();
  }

  /** Closes, for `await using`. */
  [ASYNC_DISPOSE](): Promise<void> {
    return this.close();
  }

  async #getPage(collection: string, ids: string[], options: CallOptions): Promise<State[]> {
    const body = encode([collection, ids]);
    const keys = ids.map((id) => NearCache.key(collection, id));
    return this.#filling(keys, Opcode.MGET, body, options, (answer) => {
      const states = requests.arrayOf(answer.body, 1).map(requests.stateOf);
      if (states.length > ids.length) {
        throw new ProtocolError("the server answered more records than it was asked for");
      }
      return states;
    });
  }

  /* A read whose answer is kept in the near cache, if nothing has happened to its keys since it was sent. */
  async #filling(
    keys: string[],
    opcode: number,
    body: Uint8Array,
    { timeoutMs }: CallOptions,
    read: (answer: Answer) => State[],
  ): Promise<State[]> {
    const near = this.#near;
    if (near === null) {
      return this.#link.ask(opcode, body, read, { timeoutMs });
    }
    let fills: (Fill | null)[] = [];
    const end = (): void => {
      fills.forEach((fill) => fill !== null && near.end(fill));
      fills = [];
    };
    const sent = (): void => {
      end();
      fills = keys.map((key) => near.begin(key));
    };
    const keep = (answer: Answer): State[] => {
      const states = read(answer);
      for (const [i, state] of states.entries()) {
        keepState(near, keys[i] as string, fills[i] ?? null, state, opcode === Opcode.GET ? answer.body : null);
      }
      return states;
    };
    try {
      return await this.#link.ask(opcode, body, keep, { timeoutMs, sent });
    } finally {
      end();
    }
  }

  async #write(
    opcode: number,
    collection: string,
    id: string | null,
    parts: () => unknown[],
    options: CallOptions,
  ): Promise<Written> {
    try {
      const body = encode(parts());
      const read = (answer: Answer): Result => requests.resultOf(answer.code, decode(answer.body));
      const result = await this.#link.ask(opcode, body, read, { timeoutMs: options.timeoutMs, isWrite: true });
      return requests.writtenOf(this.#outdated(collection, result));
    } catch (error) {
      this.#forgetUnknown(error, collection, id);
      throw error;
    }
  }

  /* Before the writer hears of it, so that his own next read sees it. */
  #outdated(collection: string, result: Result): Result {
    this.#near?.outdate(NearCache.key(collection, result.id), result.epoch, result.sequence);
    return result;
  }

  /* Before the reader of a list hears of its records, so that nothing older is shown to him afterwards. */
  #listed<Page extends { records: Document[] }>(collection: string, page: Page): Page {
    for (const record of this.#near === null ? [] : page.records) {
      const isSame = (body: Uint8Array): boolean => Buffer.compare(encode(requests.stateOf(decode(body)).record), encode(record)) === 0;
      this.#near?.listed(NearCache.key(collection, String(record["id"])), isSame);
    }
    return page;
  }

  #forgetUnknown(error: unknown, collection: string, id: string | null): void {
    if ((error instanceof OutcomeUnknown || error instanceof ProtocolError) && id !== null) {
      this.#near?.forget(NearCache.key(collection, id));
    }
  }

  #settled(operation: Operation, result: unknown): PromiseSettledResult<Document | Written | null> {
    const [code, answer] = requests.checkArray(result, 2);
    if (typeof code !== "number") {
      throw new ProtocolError("a result of a batch has no code");
    }
    const isAbsent = operation.op === "get" && code === 404 && requests.checkArray(answer, 3).length >= 4;
    if (code >= 400 && !isAbsent) {
      const reason = requests.batchErrorOf(code, answer);
      this.#forgetUnknown(reason, operation.collection, "id" in operation ? operation.id : null);
      return { status: "rejected", reason };
    }
    if (operation.op === "get") {
      const state = requests.stateOf(answer);
      this.#near?.outdate(NearCache.key(operation.collection, operation.id), state.epoch, state.sequence);
      return { status: "fulfilled", value: state.record };
    }
    const result_ = this.#outdated(operation.collection, requests.resultOf(code, answer));
    return { status: "fulfilled", value: requests.writtenOf(result_) };
  }
}

/* The answer's own bytes where it is one state, else those of the state alone. */
function keepState(near: NearCache, key: string, fill: Fill | null, state: State, body: Uint8Array | null): void {
  const { epoch, sequence, version, record } = state;
  if (fill === null) {
    near.outdate(key, epoch, sequence); // it has been read all the same
    return;
  }
  const bytes = body === null ? encode([epoch, sequence, version, record]) : new Uint8Array(body);
  near.fill(fill, epoch, sequence, bytes);
}

/* Keeps the near cache told. When its position is gone it begins anew, empty; without the server's help it stays unused. */
function nearStream(link: Link, near: NearCache, progressMs: number): Stream {
  const stream: Stream = {
    request: () => {
      const { position } = near;
      return { invalidate: true, progressMs, from: position === "" ? From.LATEST : From.POSITION, position };
    },
    subscribed: (position) => {
      near.subscribed(position, performance.now());
      link.ping();
    },
    changes: () => undefined,
    invalidate: (position, isLive, keys) => near.invalidated(position, isLive, keys),
    ended: (error: FreshetError) => {
      near.disconnected();
      if (error instanceof Busy) {
        setTimeout(() => link.attach(stream), error.retryAfterMs || NEAR_RETRY_MS).unref();
        return;
      }
      near.clear();
      if (error instanceof PositionExpired) {
        link.attach(stream);
      }
    },
    moved: () => undefined,
    disconnected: (error) => {
      near.disconnected();
      if (error instanceof ProtocolError) {
        near.clear();
        link.attach(stream);
      }
    },
  };
  return stream;
}

function addressOf(text: string | URL): { host: string; port: number } {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw new Invalid(`this is no URL: ${String(text)}`, { cause: error });
  }
  if (url.protocol !== "freshet:" || url.hostname === "") {
    throw new Invalid(`the URL is freshet://HOST[:PORT], not ${String(text)}`);
  }
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? PORT_DEFAULT : Number(url.port) };
}
