/**
 * One connection's side of the protocol without a socket or a clock: bytes in, events out; requests in, bytes out. Whoever
 * owns it moves the bytes. It knows which ids are in flight, so that what a server may not say is found here, once.
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { decode } from "./document.js";
import { FreshetError, ProtocolError, TooLarge, errorOf } from "./errors.js";
import { ANSWER, FLAG_CHECKED, FrameReader, ID_MAX, Opcode, PROTOCOL_VERSION, REQUEST_BYTES_MAX, writeHeader } from "./frame.js";
import type { Frame } from "./frame.js";
import { CreditSchema, ErrorSchema, GoawaySchema, HelloSchema, SubscribeSchema, SubscribedSchema } from "./generated/freshet_pb.js";
import { WelcomeSchema } from "./generated/freshet_pb.js";
import type { Welcome } from "./generated/freshet_pb.js";

/** Kinds of the items of CHANGES. */
export const Kind = { CHANGE: 0, SNAPSHOT: 1, SYNCED: 2, PROGRESS: 3, CAUGHT_UP: 4 } as const;

/** An item of CHANGES. */
export interface Item {
  kind: number;
  /** From where a new subscription goes on after it. */
  position: string;
  /** The change's map; null for kinds without one. */
  change: Record<string, unknown> | null;
}

/** A key that changed: epoch, sequence, collection, id. */
export type InvalidKey = [epoch: number, sequence: number, collection: string, id: string];

/** What the bytes said. */
export type CoreEvent =
  | { type: "welcome"; welcome: Welcome }
  | { type: "answer"; id: number; code: number; body: Uint8Array }
  | { type: "failed"; id: number; error: FreshetError }
  | { type: "subscribed"; id: number; position: string }
  | { type: "changes"; id: number; items: Item[]; bytes: number }
  | { type: "invalidate"; id: number; position: string; live: boolean; keys: InvalidKey[] }
  | { type: "ended"; id: number; error: FreshetError }
  | { type: "goaway"; detail: string; positions: ReadonlyMap<number, string> }
  /** The connection is of no use any more. It comes once, and nothing after it. */
  | { type: "fatal"; error: FreshetError };

export interface CoreOptions {
  token?: string;
  /** Name and version, for the server's log. */
  client: string;
  features: string[];
}

const EMPTY = new Uint8Array(0);
const ANSWERS: ReadonlySet<number> = new Set(Object.values(Opcode).map((opcode) => opcode | ANSWER));

export class Core {
  readonly #reader = new FrameReader();
  readonly #requests = new Map<number, number>();
  readonly #subscriptions = new Set<number>();
  #output: Uint8Array[] = [];
  #nextId = 1;
  #flags = 0;
  #requestBytesMax = REQUEST_BYTES_MAX;
  #welcome: Welcome | null = null;
  #isDead = false;

  constructor(options: CoreOptions) {
    const hello = { versions: [PROTOCOL_VERSION], features: options.features, token: options.token ?? "", client: options.client };
    this.request(Opcode.HELLO, encodeControl(HelloSchema, hello));
  }

  /** What the server said of itself, once it has. */
  get welcome(): Welcome | null {
    return this.#welcome;
  }

  /** Requests that are not answered yet. */
  get inFlightCount(): number {
    return this.#requests.size;
  }

  /** The bytes to be sent now; the next call gives those after them. */
  takeOutput(): Uint8Array[] {
    const output = this.#output;
    this.#output = [];
    return output;
  }

  /** Queues a request. @returns its id. @throws TooLarge when no server would take it. */
  request(opcode: number, body: Uint8Array = EMPTY): number {
    const id = this.#freeId();
    this.#send(opcode, id, body);
    this.#requests.set(id, opcode);
    return id;
  }

  /** Queues SUBSCRIBE. @returns the id of the subscription. */
  subscribe(message: MessageInitShape<typeof SubscribeSchema>): number {
    const id = this.request(Opcode.SUBSCRIBE, encodeControl(SubscribeSchema, message));
    this.#subscriptions.add(id);
    return id;
  }

  /** So many more changes may come on a subscription. */
  credit(id: number, changes: number): void {
    this.#send(Opcode.CREDIT, id, encodeControl(CreditSchema, { changes }));
  }

  /** Ends a subscription: what of it is on its way is passed over. Its id is not used again until the server has answered. */
  unsubscribe(id: number): void {
    if (this.#subscriptions.delete(id)) {
      this.#send(Opcode.UNSUBSCRIBE, id, EMPTY);
      this.#requests.set(id, Opcode.UNSUBSCRIBE);
    }
  }

  /** Takes bytes from the server. Nothing is thrown: what is wrong is an event, the last one. */
  receive(chunk: Uint8Array): CoreEvent[] {
    const events: CoreEvent[] = [];
    if (this.#isDead) {
      return events;
    }
    try {
      this.#reader.push(chunk);
      for (let frame = this.#reader.next(); frame !== null; frame = this.#reader.next()) {
        const event = this.#take(frame);
        if (event !== null) {
          events.push(event);
        }
      }
    } catch (error) {
      this.#isDead = true;
      const isOurs = error instanceof FreshetError;
      events.push({ type: "fatal", error: isOurs ? error : new ProtocolError(String(error), { cause: error }) });
    }
    return events;
  }

  #freeId(): number {
    while (this.#nextId === 0 || this.#requests.has(this.#nextId) || this.#subscriptions.has(this.#nextId)) {
      this.#nextId = this.#nextId === ID_MAX ? 1 : this.#nextId + 1;
    }
    const id = this.#nextId;
    this.#nextId = id === ID_MAX ? 1 : id + 1;
    return id;
  }

  #send(opcode: number, id: number, body: Uint8Array): void {
    if (body.length > this.#requestBytesMax) {
      throw new TooLarge(`a request of ${body.length} bytes; the server takes ${this.#requestBytesMax}`, { code: 413 });
    }
    this.#output.push(writeHeader(opcode, this.#flags, id, body));
    if (body.length > 0) {
      this.#output.push(body);
    }
  }

  #take(frame: Frame): CoreEvent | null {
    if (this.#welcome === null) {
      return this.#takeWelcome(frame);
    }
    switch (frame.opcode) {
      case Opcode.ERROR:
        return this.#takeError(frame);
      case Opcode.CHANGES:
        return this.#subscriptions.has(frame.id) ? changesEvent(frame) : null;
      case Opcode.INVALIDATE:
        return this.#subscriptions.has(frame.id) ? invalidateEvent(frame) : null;
      case Opcode.GOAWAY:
        return goawayEvent(frame);
      default:
        return this.#takeAnswer(frame);
    }
  }

  #takeWelcome(frame: Frame): CoreEvent {
    if (frame.opcode === Opcode.ERROR) {
      throw errorOfFrame(frame);
    }
    if (frame.opcode !== (Opcode.HELLO | ANSWER) || !this.#requests.delete(frame.id)) {
      throw new ProtocolError(`the server begins with a frame ${hex(frame.opcode)}, not with WELCOME; is it a Freshet wire port?`);
    }
    const welcome = decodeControl(WelcomeSchema, frame.body);
    if (welcome.version !== PROTOCOL_VERSION) {
      throw new ProtocolError(`the server speaks version ${welcome.version} of the protocol`);
    }
    this.#welcome = welcome;
    this.#requestBytesMax = welcome.frameBytesMax || REQUEST_BYTES_MAX;
    this.#flags = welcome.features.includes("checked") ? FLAG_CHECKED : 0;
    return { type: "welcome", welcome };
  }

  #takeError(frame: Frame): CoreEvent | null {
    const error = errorOfFrame(frame);
    if (frame.id === 0) {
      throw error;
    }
    const opcode = this.#requests.get(frame.id);
    this.#requests.delete(frame.id);
    if (this.#subscriptions.delete(frame.id)) {
      return { type: "ended", id: frame.id, error };
    }
    // What ended by itself while UNSUBSCRIBE was on its way has ended as it was to.
    return opcode === undefined || opcode === Opcode.UNSUBSCRIBE ? null : { type: "failed", id: frame.id, error };
  }

  /* Answers that nobody waits for, and frames of a later protocol, are passed over; a wrong answer is not. */
  #takeAnswer(frame: Frame): CoreEvent | null {
    const opcode = this.#requests.get(frame.id);
    // The answer to SUBSCRIBE may still come when UNSUBSCRIBE was sent behind it.
    const isLate = opcode === Opcode.UNSUBSCRIBE && frame.opcode === (Opcode.SUBSCRIBE | ANSWER);
    if (opcode === undefined || isLate || !ANSWERS.has(frame.opcode)) {
      return null;
    }
    if (frame.opcode !== (opcode | ANSWER)) {
      throw new ProtocolError(`an answer ${hex(frame.opcode)} to a request ${hex(opcode)}`);
    }
    this.#requests.delete(frame.id);
    switch (opcode) {
      case Opcode.UNSUBSCRIBE:
        return null;
      case Opcode.SUBSCRIBE:
        return { type: "subscribed", id: frame.id, position: decodeControl(SubscribedSchema, frame.body).position };
      default:
        return { type: "answer", id: frame.id, code: frame.code, body: frame.body };
    }
  }
}

/** The bytes of a control message. */
export function encodeControl<T extends DescMessage>(schema: T, init: MessageInitShape<T>): Uint8Array {
  return toBinary(schema, create(schema, init));
}

/** The control message of a body. @throws ProtocolError when it is none. */
export function decodeControl<T extends DescMessage>(schema: T, body: Uint8Array): MessageShape<T> {
  try {
    return fromBinary(schema, body);
  } catch (error) {
    throw new ProtocolError(`a ${schema.name} message cannot be read`, { cause: error });
  }
}

function errorOfFrame(frame: Frame): FreshetError {
  const error = decodeControl(ErrorSchema, frame.body);
  return errorOf(error.status || frame.code, error.detail, error);
}

function goawayEvent(frame: Frame): CoreEvent {
  const goaway = decodeControl(GoawaySchema, frame.body);
  const positions = new Map(goaway.subscriptions.map((each) => [each.id, each.position]));
  return { type: "goaway", detail: goaway.detail, positions };
}

function changesEvent(frame: Frame): CoreEvent {
  const items = decode(frame.body);
  if (!Array.isArray(items)) {
    throw new ProtocolError("CHANGES is no array");
  }
  return { type: "changes", id: frame.id, items: items.map(itemOf), bytes: frame.body.length };
}

function itemOf(item: unknown): Item {
  if (!Array.isArray(item) || typeof item[0] !== "number" || typeof item[1] !== "string" || typeof item[2] !== "object") {
    throw new ProtocolError("an item of CHANGES is not [kind, position, change]");
  }
  const [kind, position, change] = item;
  const hasChange = kind === Kind.CHANGE || kind === Kind.SNAPSHOT;
  if (hasChange && (change === null || Array.isArray(change))) {
    throw new ProtocolError("a change is no map");
  }
  return { kind, position, change: hasChange ? change : null };
}

function invalidateEvent(frame: Frame): CoreEvent {
  const body = decode(frame.body);
  if (!Array.isArray(body) || typeof body[0] !== "string" || typeof body[1] !== "boolean" || !Array.isArray(body[2])) {
    throw new ProtocolError("INVALIDATE is not [position, live, keys]");
  }
  return { type: "invalidate", id: frame.id, position: body[0], live: body[1], keys: body[2].map(invalidKeyOf) };
}

function invalidKeyOf(key: unknown): InvalidKey {
  if (!Array.isArray(key) || typeof key[2] !== "string" || typeof key[3] !== "string") {
    throw new ProtocolError("a key of INVALIDATE is not [epoch, sequence, collection, id]");
  }
  return [count(key[0]), count(key[1]), key[2], key[3]];
}

/**
 * An epoch, a sequence or a version. They begin at 1 and are counted up, so that no store ever has one that a double does not
 * hold; what claims to is refused rather than rounded.
 */
export function count(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new ProtocolError(`this is no count: ${String(value)}`);
  }
  return value;
}

function hex(opcode: number): string {
  return `0x${opcode.toString(16).padStart(2, "0")}`;
}
