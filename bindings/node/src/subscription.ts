/** A subscription as users see it. */

import type { Document } from "./document.js";
import type { Feed } from "./feed.js";
import type { Change } from "./types.js";

/** `Symbol.asyncDispose`, where the engine has it. */
export const ASYNC_DISPOSE: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for("nodejs.asyncDispose") as typeof Symbol.asyncDispose);

/**
 * Changes, in order, each once; a lost connection is made good without a gap. Leaving a `for await` loop, in whatever way, ends
 * the subscription.
 *
 * The server sends only as many changes as there is room for here: who iterates slowly lags behind, and holds up nobody. What
 * ends it is thrown, after what has come before: {@link PositionExpired} when the position is gone.
 */
export class Subscription<T = Document> implements AsyncIterableIterator<Change<T>, undefined> {
  readonly #feed: Feed;
  readonly #acknowledge: (consumer: string, position: string, member: string) => Promise<void>;

  /** @internal */
  constructor(feed: Feed, acknowledge: (consumer: string, position: string, member: string) => Promise<void>) {
    this.#feed = feed;
    this.#acknowledge = acknowledge;
  }

  /** Resolves when the server has taken the subscription: what is written from then on is in it. */
  get ready(): Promise<void> {
    return this.#feed.ready;
  }

  /** From where a new subscription goes on after the last change that was handed out; empty until the server has told one. */
  get position(): string {
    return this.#feed.position;
  }

  /** The next change. */
  next(): Promise<IteratorResult<Change<T>, undefined>> {
    return this.#feed.next() as Promise<IteratorResult<Change<T>, undefined>>;
  }

  /** Ends it; called by `for await` when its body is left. */
  return(): Promise<IteratorReturnResult<undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends it: whoever iterates comes to the end. */
  close(): void {
    this.#feed.end();
  }

  /**
   * All up to this change, or up to the last one that was handed out, is done with: after a new start the consumer goes on
   * behind it. Of a subscription with `consumer` only.
   */
  ack(upTo?: Change<T>): Promise<void> {
    return this.#acknowledge(this.#feed.consumer, upTo?.position ?? this.position, this.#feed.member);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends it, for `await using`. */
  [ASYNC_DISPOSE](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
