/** Named consumers. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { decodeControl, encodeControl } from "./core.js";
import { Invalid, NotFound, ProtocolError } from "./errors.js";
import { patternText, startOf } from "./feed.js";
import { Opcode } from "./frame.js";
import { ConsumerAction, ConsumerSchema, ConsumersSchema, From } from "./generated/freshet_pb.js";
import type { ConsumerInfo as WireConsumer, Consumers as WireConsumers } from "./generated/freshet_pb.js";
import type { Link, RequestOptions } from "./link.js";
import type { CallOptions, ConsumerInfo, ConsumerOptions } from "./types.js";

/**
 * Named positions that the server keeps, as `client.consumers`. A consumer is read with `subscribe({ consumer })`, and moves on
 * when a change is acknowledged.
 */
export class Consumers {
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
  }

  /** Makes a consumer. One that is there already stays where it is. */
  put(name: string, options: ConsumerOptions = {}): Promise<ConsumerInfo> {
    const { collection, group, timeoutMs } = options;
    const start = startOf(options.start);
    if (start.from === From.SNAPSHOT) {
      return Promise.reject(new Invalid('a consumer cannot start with "snapshot"'));
    }
    const asked = { name, collection: collection ?? "", pattern: patternText(options.pattern), group: group ?? false, ...start };
    return this.#one({ action: ConsumerAction.CONSUMER_PUT, ...asked }, { timeoutMs, isWrite: true });
  }

  /** The consumer and its lag, or null when there is none. */
  get(name: string, options: CallOptions = {}): Promise<ConsumerInfo | null> {
    const asked = { action: ConsumerAction.CONSUMER_GET, name };
    return this.#one(asked, { timeoutMs: options.timeoutMs }).catch(nullIfMissing);
  }

  /** Forgets a consumer and its position. @returns whether it was there. */
  async delete(name: string, options: CallOptions = {}): Promise<boolean> {
    const asked = { action: ConsumerAction.CONSUMER_DELETE, name };
    return (await this.#ask(asked, { timeoutMs: options.timeoutMs, isWrite: true }).catch(nullIfMissing)) !== null;
  }

  /** All of them by name, from behind the one called `after`. */
  async *list(options: CallOptions & { after?: string; pageSize?: number } = {}): AsyncGenerator<ConsumerInfo, void, undefined> {
    let after = options.after ?? "";
    for (let hasMore = true; hasMore; ) {
      const asked = { action: ConsumerAction.CONSUMER_LIST, after, limit: options.pageSize ?? 0 };
      const page = await this.#ask(asked, { timeoutMs: options.timeoutMs });
      yield* page.consumers.map(infoOf);
      after = page.consumers.at(-1)?.name ?? after;
      hasMore = page.more && page.consumers.length > 0;
    }
  }

  #ask(asked: MessageInitShape<typeof ConsumerSchema>, options: RequestOptions): Promise<WireConsumers> {
    const body = encodeControl(ConsumerSchema, asked);
    return this.#link.ask(Opcode.CONSUMER, body, (answer) => decodeControl(ConsumersSchema, answer.body), options);
  }

  async #one(asked: MessageInitShape<typeof ConsumerSchema>, options: RequestOptions): Promise<ConsumerInfo> {
    const consumer = (await this.#ask(asked, options)).consumers[0];
    if (consumer === undefined) {
      throw new ProtocolError("the server answered no consumer");
    }
    return infoOf(consumer);
  }
}

function nullIfMissing(error: unknown): null {
  if (error instanceof NotFound) {
    return null;
  }
  throw error;
}

function infoOf(consumer: WireConsumer): ConsumerInfo {
  const { name, group, position, members, lagSeconds } = consumer;
  const pattern = consumer.pattern === "" ? null : patternOf(consumer.pattern);
  const lag = { lagEvents: Number(consumer.lagEvents), lagBytes: Number(consumer.lagBytes), lagSeconds };
  return { name, collection: consumer.collection || null, pattern, group, position, members, ...lag };
}

function patternOf(text: string): object {
  try {
    return JSON.parse(text) as object;
  } catch (error) {
    throw new ProtocolError("the pattern of a consumer is no JSON", { cause: error });
  }
}
