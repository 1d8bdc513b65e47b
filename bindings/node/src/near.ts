/**
 * The near cache: answers kept in this process, which the server tells to forget what changes. It reads no clock and knows no
 * connection; its owner says what happened, and when.
 *
 *     read      begin(key) when the request is sent, fill(…) with its answer, end(key) in any case
 *     change    invalidated(…) by the server, outdate(key, …) by an own write's answer
 *     serving   while `live`, and for a lease from the sending of the newest PING that was answered
 *
 * Kept are the bytes of answers, not objects: each hit is decoded anew, so that nobody can change what others get.
 *
 * Invariant: an entry is at least as new as the state at `position`; and whatever is invalidated after `position` will be told.
 */

import type { InvalidKey } from "./core.js";

/** What the near cache has done. */
export interface NearStatistics {
  /** Reads that were answered from it. */
  readonly hits: number;
  /** Reads of what was not cached. */
  readonly misses: number;
  /** Reads that went to the server because there was no lease. */
  readonly passed: number;
  /** Keys that the server told to forget. */
  readonly invalidations: number;
  /** Answers that were older than an invalidation, and not kept. */
  readonly droppedFills: number;
  readonly evictions: number;
  readonly entries: number;
  /** What the entries take, as it is counted against `nearCacheBytes`. */
  readonly bytes: number;
}

interface Entry {
  epoch: number;
  sequence: number;
  body: Uint8Array;
}

/** Of a key that is being read: how many reads, and the newest change that they may have missed. */
interface Floor {
  readers: number;
  epoch: number;
  sequence: number;
}

/** A read that may fill the cache. */
export interface Fill {
  readonly key: string;
  readonly generation: number;
}

/** About what an entry takes besides its key and its body. */
const ENTRY_BYTES = 160;

export class NearCache {
  readonly #bytesMax: number;
  readonly #leaseMs: number;
  /** In the order of their use, the oldest first. */
  readonly #entries = new Map<string, Entry>();
  readonly #floors = new Map<string, Floor>();
  #bytes = 0;
  readonly #counts = { hits: 0, misses: 0, passed: 0, invalidations: 0, droppedFills: 0, evictions: 0 };
  #position = "";
  #generation = 0;
  #isSubscribed = false;
  #isLive = false;
  #subscribedAtMs = Infinity;
  #freshUntilMs = -Infinity;

  constructor(bytesMax: number, leaseMs: number) {
    this.#bytesMax = bytesMax;
    this.#leaseMs = leaseMs;
  }

  /** From where the next subscription must begin; empty: from now, and with nothing cached. */
  get position(): string {
    return this.#position;
  }

  get statistics(): NearStatistics {
    return { ...this.#counts, entries: this.#entries.size, bytes: this.#bytes };
  }

  static key(collection: string, id: string): string {
    return `${collection}\0${id}`;
  }

  /** What is cached of the key, if it may be served now. */
  get(key: string, nowMs: number): Uint8Array | null {
    if (!this.#isLive || nowMs >= this.#freshUntilMs) {
      this.#counts.passed++;
      return null;
    }
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#counts.misses++;
      return null;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#counts.hits++;
    return entry.body;
  }

  /** A read of the key is sent. Null: its answer will not be of use here. Each Fill must end. */
  begin(key: string): Fill | null {
    // Without a position nobody would tell of a change between this answer and the beginning of the subscription.
    if (this.#position === "") {
      return null;
    }
    const floor = this.#floors.get(key);
    if (floor === undefined) {
      this.#floors.set(key, { readers: 1, epoch: 0, sequence: 0 });
    } else {
      floor.readers++;
    }
    return { key, generation: this.#generation };
  }

  /** The answer of a read, whose bytes are kept from here on. */
  fill(fill: Fill, epoch: number, sequence: number, body: Uint8Array): void {
    const floor = this.#floors.get(fill.key);
    // What is not kept has been read all the same: nothing older is shown from here on, nor kept by a read under way.
    if (fill.generation !== this.#generation || floor === undefined) {
      this.outdate(fill.key, epoch, sequence);
      return;
    }
    const entry = this.#entries.get(fill.key);
    const isOverFloor = compare(floor.epoch, floor.sequence, epoch, sequence) <= 0;
    const isNewest = entry === undefined || compare(entry.epoch, entry.sequence, epoch, sequence) <= 0;
    this.outdate(fill.key, epoch, sequence);
    if (!isOverFloor || !isNewest) {
      this.#counts.droppedFills++;
      return;
    }
    this.forget(fill.key);
    const bytes = entryBytes(fill.key, body);
    if (bytes <= this.#bytesMax) {
      this.#entries.set(fill.key, { epoch, sequence, body });
      this.#bytes += bytes;
      this.#evict();
    }
  }

  /** The read is over, whatever came of it. */
  end(fill: Fill): void {
    const floor = this.#floors.get(fill.key);
    if (floor !== undefined && fill.generation === this.#generation && --floor.readers === 0) {
      this.#floors.delete(fill.key);
    }
  }

  /** The server tells of changes, up to the position; `isLive` when there is nothing behind it. */
  invalidated(position: string, isLive: boolean, keys: readonly InvalidKey[]): void {
    for (const [epoch, sequence, collection, id] of keys) {
      this.outdate(NearCache.key(collection, id), epoch, sequence);
    }
    this.#counts.invalidations += keys.length;
    this.#position = position;
    this.#isLive = this.#isSubscribed && isLive;
  }

  /** The key has changed: what is older is forgotten, and what is being read and is older is not kept. */
  outdate(key: string, epoch: number, sequence: number): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined && compare(entry.epoch, entry.sequence, epoch, sequence) < 0) {
      this.forget(key);
    }
    const floor = this.#floors.get(key);
    if (floor !== undefined && compare(floor.epoch, floor.sequence, epoch, sequence) < 0) {
      floor.epoch = epoch;
      floor.sequence = sequence;
    }
  }

  /** A change of the key is about to be handed out, by whichever pair: what was before it is not shown again. */
  changed(key: string): void {
    this.outdate(key, Infinity, 0);
  }

  /** A list is about to hand out the record, and tells no pair: what is cached of it stays only if it shows the same. */
  listed(key: string, isSame: (body: Uint8Array) => boolean): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || !isSame(entry.body)) {
      this.changed(key);
    }
  }

  /** The subscription stands; it reads from `position`. */
  subscribed(position: string, nowMs: number): void {
    this.#isSubscribed = true;
    this.#subscribedAtMs = nowMs;
    if (this.#position === "") {
      this.#position = position;
    }
  }

  /** The PING that was sent then has been answered. One from before the subscription says nothing about it. */
  ponged(sentAtMs: number): void {
    if (this.#isSubscribed && sentAtMs >= this.#subscribedAtMs) {
      this.#freshUntilMs = Math.max(this.#freshUntilMs, sentAtMs + this.#leaseMs);
    }
  }

  /** The connection, or the subscription, is gone. What is cached stays, for one that goes on from `position`. */
  disconnected(): void {
    this.#isSubscribed = false;
    this.#isLive = false;
    this.#subscribedAtMs = Infinity;
    this.#freshUntilMs = -Infinity;
  }

  /** The position is lost, and with it everything. */
  clear(): void {
    this.disconnected();
    this.#entries.clear();
    this.#floors.clear();
    this.#bytes = 0;
    this.#position = "";
    this.#generation++;
  }

  /** Nobody knows what the key is now. */
  forget(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#entries.delete(key);
      this.#bytes -= entryBytes(key, entry.body);
    }
  }

  #evict(): void {
    for (const key of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) {
        return;
      }
      this.forget(key);
      this.#counts.evictions++;
    }
  }
}

function entryBytes(key: string, body: Uint8Array): number {
  return ENTRY_BYTES + 2 * key.length + body.length;
}

function compare(epochA: number, sequenceA: number, epochB: number, sequenceB: number): number {
  return epochA === epochB ? sequenceA - sequenceB : epochA - epochB;
}
