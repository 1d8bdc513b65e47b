/**
 * A subscription's inner half: what has come and was not iterated yet, how much more may come, and from where to go on after a
 * lost connection. `subscription.ts` is what users see of it.
 */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Kind } from "./core.js";
import type { Item } from "./core.js";
import { Busy, Conflict, Disconnected, Invalid, ProtocolError } from "./errors.js";
import type { FreshetError } from "./errors.js";
import { From, View as WireView } from "./generated/freshet_pb.js";
import type { SubscribeSchema } from "./generated/freshet_pb.js";
import type { Link, Stream } from "./link.js";
import type { Change, EventName, Start, SubscribeOptions, View } from "./types.js";

const CREDIT_DEFAULT = 4096;
const CREDIT_MAX = 1 << 20;
/** A few of them even when each is as large as can be. */
const CREDIT_LEAST = 8;
/** What waits here, at most, about. */
const WINDOW_BYTES = 16 << 20;
/** Of a change, until some have come. */
const CHANGE_BYTES_FIRST = 64 << 10;
/** Changes that were handed out and not acknowledged are remembered, so that none comes again after a reconnect. */
const HANDED_MAX = 1 << 16;
const RETRY_MS = 250;

const VIEWS: Readonly<Record<View, WireView>> = {
  both: WireView.BOTH,
  keys: WireView.KEYS,
  new: WireView.NEW,
  old: WireView.OLD,
};
const MARKS: ReadonlyMap<number, EventName> = new Map([
  [Kind.SYNCED, "SYNCED"],
  [Kind.PROGRESS, "PROGRESS"],
  [Kind.CAUGHT_UP, "CAUGHT_UP"],
]);
const TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d/;

type Waiter = { resolve: (result: IteratorResult<Change, undefined>) => void; reject: (error: unknown) => void };
type SubscribeInit = MessageInitShape<typeof SubscribeSchema>;

/** A Start as the protocol has it. @throws Invalid */
export function startOf(start: Start | undefined): { from: From; position: string; timeMs: bigint } {
  const other = { position: "", timeMs: 0n };
  switch (start) {
    case undefined:
    case "latest":
      return { from: From.LATEST, ...other };
    case "earliest":
      return { from: From.EARLIEST, ...other };
    case "snapshot":
      return { from: From.SNAPSHOT, ...other };
  }
  if (start instanceof Date || (typeof start === "string" && TIME.test(start))) {
    const timeMs = new Date(start).getTime();
    if (!(timeMs >= 0)) {
      throw new Invalid(`this is no time to start at: ${String(start)}`);
    }
    return { from: From.TIME, position: "", timeMs: BigInt(timeMs) };
  }
  if (typeof start !== "string" || start === "") {
    throw new Invalid('start is "latest", "earliest", "snapshot", a time, or a position');
  }
  return { from: From.POSITION, position: start, timeMs: 0n };
}

/** A pattern as JSON text. */
export function patternText(pattern: object | string | undefined): string {
  return typeof pattern === "string" ? pattern : pattern === undefined ? "" : JSON.stringify(pattern);
}

export class Feed implements Stream {
  readonly #link: Link;
  readonly #ask: SubscribeInit;
  readonly #wantsProgress: boolean;
  readonly #creditMax: number;
  readonly #queue: Change[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #handed: { eventId: string; position: string }[] = [];
  readonly #handedIds = new Set<string>();
  /** Changes that have come and were not handed out: those that took credit. */
  #queuedCount = 0;
  /** Credit that the server has and has not used. */
  #grantedCount = 0;
  #changeBytes = CHANGE_BYTES_FIRST;
  /** Up to where everything is in the queue or was handed out; empty: nothing yet. */
  #received = "";
  #handedOut = "";
  #isStanding = false;
  #hasStood = false;
  #isOver = false;
  #error: unknown = null;
  #retry: NodeJS.Timeout | undefined;
  /** Resolved or rejected at the first SUBSCRIBED, or at what comes instead. */
  readonly ready: Promise<void>;
  /** Called for each change that comes, before it is handed out. */
  arrived: (change: Change) => void = () => undefined;
  /** Called once, at its end. */
  over: () => void = () => undefined;
  #settleReady: { resolve: () => void; reject: (error: unknown) => void } | null = null;

  constructor(link: Link, options: SubscribeOptions) {
    this.#link = link;
    this.#ask = {
      collection: options.collection ?? "",
      pattern: patternText(options.pattern),
      view: viewOf(options.view),
      enterLeave: options.enterLeave ?? false,
      consumer: options.consumer ?? "",
      member: options.member ?? "",
      progressMs: options.progressMs ?? 0,
      ...startOf(options.start),
    };
    this.#wantsProgress = options.progress ?? false;
    this.#creditMax = options.credit ?? CREDIT_DEFAULT;
    if (!Number.isInteger(this.#creditMax) || this.#creditMax < 1 || this.#creditMax > CREDIT_MAX) {
      throw new Invalid(`credit is 1 to ${CREDIT_MAX}`);
    }
    this.ready = new Promise((resolve, reject) => (this.#settleReady = { resolve, reject }));
    this.ready.catch(() => undefined);
  }

  get consumer(): string {
    return this.#ask.consumer ?? "";
  }

  get member(): string {
    return this.#ask.member ?? "";
  }

  /** Behind what was handed out last. */
  get position(): string {
    return this.#handedOut;
  }

  /** The next change, in order. */
  next(): Promise<IteratorResult<Change, undefined>> {
    const change = this.#queue.shift();
    if (change !== undefined) {
      this.#handOut(change);
      return Promise.resolve({ done: false, value: change });
    }
    if (!this.#isOver) {
      return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
    }
    const error = this.#error;
    this.#error = null;
    return error === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  /** No more of it. With an error, whoever iterates gets what has come, and then the error; without, the end at once. */
  end(error: unknown = null): void {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    clearTimeout(this.#retry);
    this.#link.detach(this);
    this.over();
    if (error === null) {
      this.#queue.length = 0;
    }
    this.#settleReady?.reject(error ?? new Disconnected("the subscription was closed"));
    this.#settleReady = null;
    const [first, ...others] = this.#waiters.splice(0);
    if (first !== undefined && error !== null) {
      first.reject(error);
    } else {
      this.#error = error;
      first?.resolve({ done: true, value: undefined });
    }
    others.forEach((waiter) => waiter.resolve({ done: true, value: undefined }));
  }

  /** What was handed out up to the position will not come again. */
  acknowledged(position: string): void {
    const last = this.#handed.findIndex((each) => each.position === position);
    for (const { eventId } of this.#handed.splice(0, last + 1)) {
      this.#handedIds.delete(eventId);
    }
  }

  request(): SubscribeInit {
    this.#isStanding = false;
    this.#grantedCount = Math.max(0, this.#window() - this.#queuedCount);
    const ask = { ...this.#ask, credit: this.#grantedCount };
    return this.consumer === "" && this.#received !== "" ? { ...ask, from: From.POSITION, position: this.#received } : ask;
  }

  subscribed(position: string): void {
    this.#isStanding = true;
    this.#hasStood = true;
    // A snapshot that has not begun begins anew, and a consumer's position is the server's to know.
    if (this.#received === "" && this.consumer === "" && this.#ask.from !== From.SNAPSHOT) {
      this.#received = position;
    }
    this.#handedOut ||= position;
    this.#settleReady?.resolve();
    this.#settleReady = null;
  }

  changes(items: Item[], bytes: number): void {
    const taken = items.reduce((sum, item) => sum + (item.change === null ? 0 : 1), 0);
    this.#grantedCount -= taken;
    this.#queuedCount += taken;
    if (this.#grantedCount < 0) {
      this.end(new ProtocolError("the server sent more changes than it had credit for"));
      return;
    }
    if (taken > 0) {
      this.#changeBytes += (bytes / taken - this.#changeBytes) / 8;
    }
    for (const item of items) {
      this.#received = item.position;
      this.#take(item);
    }
    this.#grant();
  }

  invalidate(): void {
    this.end(new ProtocolError("the server sent invalidations to a subscription to changes"));
  }

  ended(error: FreshetError): void {
    const isMoved = error instanceof Conflict && this.consumer !== "" && this.#isStanding;
    const isPassing = error instanceof Busy && this.#hasStood;
    if (!isMoved && !isPassing) {
      this.end(error);
      return;
    }
    this.#forgetQueued();
    const pauseMs = error instanceof Busy ? error.retryAfterMs || RETRY_MS : 0;
    this.#retry = setTimeout(() => this.#link.attach(this), pauseMs);
  }

  moved(position: string): void {
    if (this.consumer === "" && position !== "") {
      this.#received = position;
    }
  }

  disconnected(error: FreshetError): void {
    if (error instanceof ProtocolError) {
      this.end(error);
    } else {
      this.#forgetQueued();
    }
  }

  /* A consumer reads again from what is acknowledged; what was not handed out comes again, here or to another member. */
  #forgetQueued(): void {
    if (this.consumer !== "") {
      this.#queue.length = 0;
      this.#queuedCount = 0;
    }
  }

  #take(item: Item): void {
    if (item.change === null) {
      const eventName = MARKS.get(item.kind);
      if (eventName === "SYNCED" || (eventName !== undefined && this.#wantsProgress)) {
        this.#put(changeOf(eventName, item.position, {}));
      } else if (this.#queue.length === 0) {
        this.#handedOut = item.position;
      }
      return;
    }
    const change = changeOf(item.kind === Kind.SNAPSHOT ? "SNAPSHOT" : null, item.position, item.change);
    this.arrived(change);
    if (change.eventId !== null && this.#handedIds.has(change.eventId)) {
      this.#queuedCount--;
      return;
    }
    this.#put(change);
  }

  #put(change: Change): void {
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.#handOut(change);
      waiter.resolve({ done: false, value: change });
      return;
    }
    // Marks take no credit, so that only the newest of a row is kept; but SYNCED is told in any case.
    const last = this.#queue.at(-1);
    if (last !== undefined && isMark(last) && isMark(change) && last.eventName !== "SYNCED") {
      this.#queue.pop();
    }
    this.#queue.push(change);
    if (this.#queue.length > 2 * this.#creditMax + 2) {
      this.end(new ProtocolError("the server sends marks without end"));
    }
  }

  #handOut(change: Change): void {
    this.#handedOut = change.position;
    if (isMark(change)) {
      return;
    }
    this.#queuedCount--;
    if (this.consumer !== "" && change.eventId !== null) {
      this.#handed.push({ eventId: change.eventId, position: change.position });
      this.#handedIds.add(change.eventId);
      if (this.#handed.length > HANDED_MAX) {
        this.#handedIds.delete((this.#handed.shift() as { eventId: string }).eventId);
      }
    }
    this.#grant();
  }

  /* Half of the window at a time, so that CREDIT is rare. */
  #grant(): void {
    const window = this.#window();
    const free = window - this.#queuedCount - this.#grantedCount;
    if (free >= window / 2 && !this.#isOver) {
      this.#grantedCount += free;
      this.#link.credit(this, free);
    }
  }

  #window(): number {
    return Math.min(this.#creditMax, Math.max(CREDIT_LEAST, Math.floor(WINDOW_BYTES / this.#changeBytes)));
  }
}

function viewOf(view: View | undefined): WireView {
  const found = VIEWS[view ?? "both"];
  if (found === undefined) {
    throw new Invalid('view is "both", "keys", "new" or "old"');
  }
  return found;
}

function isMark(change: Change): boolean {
  return change.eventName === "SYNCED" || change.eventName === "PROGRESS" || change.eventName === "CAUGHT_UP";
}

/* What a map of the server shows; a member of another type than it should have counts as absent. */
function changeOf(mark: EventName | null, position: string, raw: Record<string, unknown>): Change {
  const keys = objectOr(raw["keys"]);
  const time = stringOr(raw["time"]);
  const transition = raw["transition"];
  return {
    eventName: mark ?? eventNameOf(raw["eventName"]),
    position,
    collection: stringOr(raw["collection"]),
    id: stringOr(keys?.["id"]),
    sequence: numberOr(raw["sequence"]),
    version: numberOr(raw["version"]),
    newImage: objectOr(raw["newImage"]) as Change["newImage"],
    oldImage: objectOr(raw["oldImage"]) as Change["oldImage"],
    changed: Array.isArray(raw["changed"]) ? raw["changed"] : [],
    transition: transition === "enter" || transition === "leave" ? transition : null,
    time: time === null ? null : new Date(time),
    eventId: stringOr(raw["eventID"]),
    raw,
  };
}

function eventNameOf(name: unknown): EventName {
  return name === "INSERT" || name === "MODIFY" || name === "REMOVE" ? name : "EVENT";
}

function stringOr(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function numberOr(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function objectOr(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
}
