// The driver of bindings/node: DRIVER.md in terms of its client.

import { createInterface } from "node:readline";

import * as freshet from "../../../bindings/node/dist/index.js";
import { dump, parse } from "./json.mjs";

const TIMED = new Set(["get", "put", "patch", "create", "delete"]);

const textOrNull = (value) => (value === null || value === undefined ? null : dump(value));

// ---- what is shown ----

const written = ({ id, version, etag, position, created, changed }) => ({ id, version, etag, position, created, changed });

const consumerShown = (info) => ({
  name: info.name,
  collection: info.collection,
  pattern: info.pattern === null ? null : JSON.stringify(info.pattern),
  position: info.position,
  group: info.group,
  lag_events: Number(info.lagEvents),
});

const changeShown = (change) => ({
  event: change.eventName,
  collection: change.collection,
  id: change.id,
  sequence: change.sequence,
  version: change.version,
  position: change.position,
  changed: change.changed,
  new_image: textOrNull(change.newImage),
  old_image: textOrNull(change.oldImage),
});

const TYPES = [
  [freshet.OutcomeUnknown, "outcome-unknown"],
  [freshet.Disconnected, "disconnected"],
  [freshet.Timeout, "timeout"],
  [freshet.ProtocolError, "protocol"],
  [freshet.Invalid, "invalid"],
];

function errorShown(error) {
  if (!(error instanceof freshet.FreshetError)) {
    throw error;
  }
  const own = error.code === 0 ? TYPES.find(([kind]) => error instanceof kind)?.[1] : undefined;
  return { code: error.code, type: own ?? error.type, detail: error.detail, oldest: error.oldest, newest: error.newest };
}

/** The options without those that are not given. */
const given = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));


// ---- operations ----

const clients = new Map();
const subscriptions = new Map();

/** A batch's operation, in the binding's words. */
function operation({ kind, collection, id, document, patch, if_match, if_absent, idempotency_key }) {
  const options = given({ ifMatch: if_match, ifAbsent: if_absent, idempotencyKey: idempotency_key });
  return given({ op: kind, collection, id, document: document && parse(document), patch: patch && parse(patch), options });
}

function resultShown({ kind }, { status, value, reason }) {
  if (status === "rejected") {
    return { error: errorShown(reason) };
  }
  if (kind === "get") {
    return { ok: { record: textOrNull(value) } };
  }
  return { ok: kind === "delete" ? { existed: value.changed } : written(value) };
}

/** The next change within the time; undefined: none came. The one that is waited for stays for the next call. */
async function nextChange(subscription, timeoutMs) {
  subscription.pending ??= subscription.iterator.next().then(
    (result) => ({ result }),
    (error) => ({ error }),
  );
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  const outcome = await Promise.race([subscription.pending, late]);
  clearTimeout(timer);
  if (outcome !== undefined) {
    subscription.pending = undefined;
  }
  return outcome;
}

const OPERATIONS = {
  async connect({ db, url, near_cache_bytes, lease_ms, timeout_ms, connect_timeout_ms, checked, no_reconnect, token }) {
    await clients.get(db)?.close();
    const options = given({
      nearCacheBytes: near_cache_bytes,
      nearCacheLeaseMs: lease_ms,
      timeoutMs: timeout_ms,
      reconnect: no_reconnect === true ? false : undefined,
      connectTimeoutMs: connect_timeout_ms,
      reconnect: no_reconnect ? false : undefined,
      checked,
      token,
    });
    clients.set(db, await freshet.connect(url, options));
    return {};
  },
  async close({ client }) {
    await client.close();
    return {};
  },
  create: async ({ client, collection, document, idempotency_key }) =>
    written(await client.create(collection, document, given({ idempotencyKey: idempotency_key }))),
  put: async ({ client, collection, id, document, if_match, if_absent }) =>
    written(await client.put(collection, id, document, given({ ifMatch: if_match, ifAbsent: if_absent }))),
  patch: async ({ client, collection, id, patch, if_match }) =>
    written(await client.patch(collection, id, patch, given({ ifMatch: if_match }))),
  delete: async ({ client, collection, id, if_match }) =>
    ({ existed: await client.delete(collection, id, given({ ifMatch: if_match })) }),
  async get({ client, collection, id, fresh, minimum_position }) {
    const start = process.hrtime.bigint();
    const found = await client.find(collection, id, given({ fresh, minPosition: minimum_position }));
    const times = [start, process.hrtime.bigint()];
    if (found === null) {
      return { record: null, times };
    }
    return { record: dump(found.record), version: found.version, near: found.near, times };
  },
  get_many: async ({ client, collection, ids }) => ({ records: (await client.getMany(collection, ids)).map(textOrNull) }),
  async list({ client, collection, index, value, page }) {
    const records = [];
    for await (const record of client.list(collection, index ? { [index]: value } : {}, given({ pageSize: page }))) {
      records.push(dump(record));
    }
    return { records };
  },
  async batch({ client, operations }) {
    const results = await client.batch(operations.map(operation));
    return { results: results.map((result, place) => resultShown(operations[place], result)) };
  },
  async subscribe({ client, name, collection, pattern, start, view, enter_leave, credit, consumer, member }) {
    const options = given({ collection, pattern, start, view, enterLeave: enter_leave, credit, consumer, member });
    const subscription = client.subscribe(options);
    await subscription.ready;
    subscriptions.set(name, { subscription, iterator: subscription[Symbol.asyncIterator](), pending: undefined });
    return {};
  },
  async next({ name, count = 1, timeout_ms = 10000 }) {
    const changes = [];
    while (changes.length < count) {
      const outcome = await nextChange(subscriptions.get(name), timeout_ms);
      if (outcome === undefined) {
        return { changes, end: false };
      }
      if (outcome.error !== undefined && changes.length === 0) {
        throw outcome.error;
      }
      if (outcome.error !== undefined || outcome.result.done) {
        return { changes, end: true };
      }
      changes.push(changeShown(outcome.result.value));
    }
    return { changes, end: false };
  },
  async acknowledge({ name }) {
    await subscriptions.get(name).subscription.ack();
    return {};
  },
  async unsubscribe({ name }) {
    subscriptions.get(name).subscription.close();
    subscriptions.delete(name);
    return {};
  },
  consumer_put: async ({ client, consumer, collection, pattern, start, group }) =>
    consumerShown(await client.consumers.put(consumer, given({ collection, pattern, start, group }))),
  async consumer_get({ client, consumer }) {
    const info = await client.consumers.get(consumer);
    return info === null ? { name: null } : consumerShown(info);
  },
  consumer_delete: async ({ client, consumer }) => ({ existed: await client.consumers.delete(consumer) }),
  async consumer_list({ client, after = "", limit = 1000 }) {
    const consumers = [];
    for await (const info of client.consumers.list()) {
      if (info.name > after && consumers.length < limit) {
        consumers.push(consumerShown(info));
      }
    }
    return { consumers };
  },
  async near_statistics({ client }) {
    const { hits, misses, passed, invalidations, droppedFills, entries } = client.nearStatistics() ?? {};
    return { hits, misses, passed, invalidations, dropped_fills: droppedFills, entries };
  },
};

async function answer(request) {
  const { op, db = "main" } = request;
  if (OPERATIONS[op] === undefined) {
    return { unsupported: `no operation ${op}` };
  }
  for (const name of ["document", "patch"]) {
    if (typeof request[name] === "string") {
      request[name] = parse(request[name]);
    }
  }
  let times = [process.hrtime.bigint()];
  const shown = {};
  try {
    shown.ok = await OPERATIONS[op]({ ...request, db, client: clients.get(db) });
    // What converts documents is no part of a read: the operation may have looked at the clock itself.
    times = shown.ok.times ?? times;
    delete shown.ok.times;
  } catch (error) {
    shown.error = errorShown(error);
  }
  if (TIMED.has(op)) {
    shown.start_ns = Number(times[0]);
    shown.end_ns = Number(times[1] ?? process.hrtime.bigint());
  }
  return shown;
}

const plain = (_, value) => (typeof value === "bigint" ? Number(value) : value);

for await (const line of createInterface({ input: process.stdin })) {
  const shown = await answer(JSON.parse(line));
  process.stdout.write(`${JSON.stringify(shown, plain)}\n`);
}
for (const client of clients.values()) {
  await client.close();
}
process.exit(0);
