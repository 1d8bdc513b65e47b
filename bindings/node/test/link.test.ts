/** The client against a server that does what the test says: losses, hostility, and what users see of them. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Busy, Conflict, Disconnected, Invalid, NotFound, OutcomeUnknown, PositionExpired, ProtocolError, Timeout, connect } from "../dist/index.js";
import type { Change, Client, ConnectOptions, SubscribeOptions, Subscription } from "../dist/index.js";
import { Kind, decodeControl } from "../dist/core.js";
import { decode, encode } from "../dist/document.js";
import { ANSWER, Opcode } from "../dist/frame.js";
import type { Frame } from "../dist/frame.js";
import { Link } from "../dist/link.js";
import { CreditSchema, From, GoawaySchema, SubscribeSchema } from "../dist/generated/freshet_pb.js";
import type { Subscribe } from "../dist/generated/freshet_pb.js";
import { encodeControl } from "../dist/core.js";
import { FakeServer, change, changes, data, error, found, frame, invalidate, subscribed, written } from "./support.js";
import type { FakePeer } from "./support.js";

/** A client and the server's end of its first connection. */
async function pair(options: ConnectOptions, run: (db: Client, peer: FakePeer, server: FakeServer) => Promise<void>): Promise<void> {
  const server = await FakeServer.start();
  const opening = connect(server.url, { timeoutMs: 2_000, ...options });
  const peer = await server.accept();
  await peer.welcome(options.nearCacheBytes === undefined ? [] : ["invalidate"]);
  const db = await opening;
  try {
    await run(db, peer, server);
  } finally {
    peer.drop();
    server.stop();
    await db.close();
  }
}

async function next(server: FakeServer, features: string[] = []): Promise<FakePeer> {
  const peer = await server.accept();
  await peer.welcome(features);
  return peer;
}

const messageOf = (asked: Frame): Subscribe => decodeControl(SubscribeSchema, asked.body);

test("answers find their requests in any order", () =>
  pair({}, async (db, peer) => {
    const reads = [db.get("pets", "a"), db.get("pets", "b")];
    const [first, second] = [await peer.expect(Opcode.GET), await peer.expect(Opcode.GET)];
    assert.deepEqual([decode(first.body), decode(second.body)], [["pets", "a"], ["pets", "b"]]);
    peer.send(found(second.id, 2, { id: "b" }), found(first.id, 1, null));
    assert.deepEqual(await Promise.all(reads), [null, { id: "b" }]);
  }));

test("what is asked in one turn goes out in one piece", () =>
  pair({}, async (db, peer) => {
    let pieces = 0;
    peer.socket.on("data", () => pieces++);
    const reads = Promise.all(Array.from({ length: 100 }, (_, i) => db.get("pets", String(i))));
    for (let i = 0; i < 100; i++) {
      peer.send(found((await peer.expect(Opcode.GET)).id, 1, { id: String(i) }));
    }
    assert.equal((await reads).length, 100);
    assert.equal(pieces, 1);
  }));

test("a first connection that fails is told, and made no second time", async () => {
  const server = await FakeServer.start();
  const opening = connect(server.url);
  const refused = assert.rejects(opening, (caught: unknown) => caught instanceof Invalid && /versions/.test(caught.message));
  const peer = await server.accept();
  peer.send(error((await peer.expect(Opcode.HELLO)).id, 400, { detail: "other versions" }));
  await refused;
  server.stop();
  await assert.rejects(connect(server.url), Disconnected);
  await assert.rejects(connect("http://127.0.0.1:1"), Invalid);
  await assert.rejects(connect("no url"), Invalid);
});

test("a server that says nothing is given up after the connection's time", async () => {
  const server = await FakeServer.start();
  await assert.rejects(connect(server.url, { connectTimeoutMs: 50 }), Timeout);
  server.stop();
});

test("a port that speaks something else is a ProtocolError", async () => {
  const server = await FakeServer.start();
  const opening = assert.rejects(connect(server.url), ProtocolError);
  (await server.accept()).send(Buffer.from("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
  await opening;
  server.stop();
});

test("a read is asked again after a loss; a write that was sent is not, and its outcome is unknown", () =>
  pair({}, async (db, peer, server) => {
    const read = db.get("pets", "rex");
    const write = db.put("pets", "rex", { age: 3 });
    await peer.expect(Opcode.GET);
    await peer.expect(Opcode.PUT);
    peer.drop();
    await assert.rejects(write, (caught: unknown) => caught instanceof OutcomeUnknown && caught.type === "outcome-unknown");
    const again = await next(server);
    again.send(found((await again.expect(Opcode.GET)).id, 1, { id: "rex" }));
    assert.deepEqual(await read, { id: "rex" });
  }));

test("a write that was not sent waits for the connection, or says that it was not sent", () =>
  pair({}, async (db, peer, server) => {
    const lost = assert.rejects(db.put("pets", "a", {}), OutcomeUnknown);
    await peer.expect(Opcode.PUT);
    peer.drop();
    await lost;
    const early = db.put("pets", "rex", {}, { timeoutMs: 1 });
    const waiting = db.put("pets", "rex", { age: 4 });
    await assert.rejects(early, (caught: unknown) => caught instanceof Disconnected && /not sent/.test(caught.message));
    const again = await next(server);
    again.send(written(Opcode.PUT, 201, (await again.expect(Opcode.PUT)).id, 7, "rex"));
    assert.equal((await waiting).created, true);
  }));

test("a read that is not answered in time is a Timeout, a write's outcome is unknown, and late answers disturb nobody", () =>
  pair({}, async (db, peer) => {
    const read = assert.rejects(db.get("pets", "rex", { timeoutMs: 20 }), Timeout);
    const write = assert.rejects(db.delete("pets", "rex", { timeoutMs: 20 }), OutcomeUnknown);
    const [get, del] = [await peer.expect(Opcode.GET), await peer.expect(Opcode.DELETE)];
    await Promise.all([read, write]);
    peer.send(found(get.id, 1, null), written(Opcode.DELETE, 200, del.id, 2, "rex"));
    const later = db.get("pets", "b");
    peer.send(found((await peer.expect(Opcode.GET)).id, 3, { id: "b" }));
    assert.deepEqual(await later, { id: "b" });
  }));

test("a server that has fallen silent is left, and one that answers PINGs only is not", async () => {
  const server = await FakeServer.start();
  const { hostname: host, port } = new URL(server.url);
  const times = { connectTimeoutMs: 1_000, requestTimeoutMs: 5_000, heartbeatMs: 10, silenceMs: 50 };
  const pongs: number[] = [];
  const ponged = (sentAtMs: number): unknown => pongs.push(sentAtMs);
  const link = new Link({ host, port: Number(port), token: "", features: [], client: "test", reconnects: true, ponged, ...times });
  const opening = link.open();
  await next(server);
  await opening;
  const read = link.request(Opcode.GET, encode(["pets", "rex"]));
  const again = await next(server);
  const asked = await again.expect(Opcode.GET);
  while (pongs.length < 10) {
    const ping = await again.expectPing();
    again.send(frame(Opcode.PING | ANSWER, 200, ping.id));
  }
  again.send(found(asked.id, 1, null));
  assert.equal((await read).code, 404);
  await link.close();
  server.stop();
});

test("without `reconnect` a loss is the end", () =>
  pair({ reconnect: false }, async (db, peer) => {
    const subscription = db.subscribe();
    const read = assert.rejects(db.get("pets", "rex"), Disconnected);
    await peer.expect(Opcode.GET).catch(() => undefined);
    peer.drop();
    await read;
    await assert.rejects(subscription.next(), Disconnected);
    await assert.rejects(db.get("pets", "rex"), Disconnected);
    await assert.rejects(db.subscribe().next(), Disconnected);
  }));

test("an answer that cannot be read is a ProtocolError, and ends the connection", () =>
  pair({}, async (db, peer, server) => {
    let current = peer;
    for (const body of [{}, [1], [1, -2, 1, null], [1, 2, 3, "text"], [1, 2n ** 60n, 1, null]]) {
      const read = assert.rejects(db.get("pets", "rex"), ProtocolError);
      current.send(data(Opcode.GET, 200, (await current.expect(Opcode.GET)).id, body));
      await read;
      current = await next(server);
    }
    const write = assert.rejects(db.put("pets", "rex", {}), ProtocolError);
    current.send(data(Opcode.PUT, 200, (await current.expect(Opcode.PUT)).id, [1, 2, 1, 5, null, "p", true]));
    await write;
  }));

const HOSTILE = new URL("../../../tests/conformance/vectors/hostile.json", import.meta.url);

test("what every client refuses is refused here", { skip: existsSync(HOSTILE) ? false : "no vectors" }, () =>
  pair({}, async (db, peer, server) => {
    let current = peer;
    for (const { name, hex } of JSON.parse(readFileSync(HOSTILE, "utf8")) as { name: string; hex: string }[]) {
      const read = assert.rejects(db.get("pets", "rex"), ProtocolError, name);
      const asked = await current.expect(Opcode.GET);
      const bytes = Buffer.from(hex, "hex");
      bytes.writeUInt32BE(asked.id, 8);
      current.send(bytes);
      await read;
      current = await next(server);
    }
  }));

test("a hostile frame ends the connection, everything on it fails, and the next one is made", () =>
  pair({}, async (db, peer, server) => {
    const subscription = db.subscribe();
    const changed = assert.rejects(subscription.next(), ProtocolError);
    const read = assert.rejects(db.get("pets", "rex"), ProtocolError);
    await peer.expect(Opcode.SUBSCRIBE);
    await peer.expect(Opcode.GET);
    peer.send(Buffer.alloc(16, 0xff));
    await Promise.all([read, changed]);
    const again = await next(server);
    const later = db.get("pets", "rex");
    again.send(found((await again.expect(Opcode.GET)).id, 1, null));
    assert.equal(await later, null);
  }));

test("errors of the server are classes with its words", () =>
  pair({}, async (db, peer) => {
    const busy = db.put("pets", "rex", {});
    peer.send(error((await peer.expect(Opcode.PUT)).id, 503, { type: "not-accepted", detail: "later", retryAfterMs: 70 }));
    await assert.rejects(busy, (caught: unknown) => caught instanceof Busy && caught.retryAfterMs === 70 && caught.code === 503);
    const unknown = db.put("pets", "rex", {});
    peer.send(error((await peer.expect(Opcode.PUT)).id, 503, { type: "outcome-unknown" }));
    await assert.rejects(unknown, OutcomeUnknown);
    const missing = db.get("nobody", "rex");
    peer.send(error((await peer.expect(Opcode.GET)).id, 404));
    await assert.rejects(missing, NotFound);
  }));

test("what cannot be sent is refused before it is sent", () =>
  pair({}, async (db) => {
    await assert.rejects(db.put("pets", "rex", [] as object), Invalid);
    await assert.rejects(db.put("pets", "", {}), Invalid);
    await assert.rejects(db.put("pets", "rex", { age: NaN }), Invalid);
    await assert.rejects(db.get("pets", 5 as unknown as string), Invalid);
    await assert.rejects(db.list("pets", { a: 1, b: 2 }).next(), Invalid);
    assert.throws(() => db.subscribe({ start: "" }), Invalid);
    assert.throws(() => db.subscribe({ credit: 0 }), Invalid);
    assert.throws(() => db.subscribe({ view: "all" as "both" }), Invalid);
    await assert.rejects(db.consumers.put("c", { start: "snapshot" }), Invalid);
    await assert.rejects(db.batch(new Array(1001).fill({ op: "get", collection: "pets", id: "a" })), Invalid);
  }));

test("getMany asks again for what did not fit", () =>
  pair({}, async (db, peer) => {
    const many = db.getMany("pets", ["a", "b", "c"]);
    peer.send(data(Opcode.MGET, 200, (await peer.expect(Opcode.MGET)).id, [[1, 1, 1, { id: "a" }], [1, 2, 0, null]]));
    const second = await peer.expect(Opcode.MGET);
    assert.deepEqual(decode(second.body), ["pets", ["c"]]);
    peer.send(data(Opcode.MGET, 200, second.id, [[1, 1, 1, { id: "c" }]]));
    assert.deepEqual(await many, [{ id: "a" }, null, { id: "c" }]);
  }));

test("a list goes from page to page, and asks for no page that is not wanted", () =>
  pair({}, async (db, peer) => {
    const list = db.list("pets", { kind: "dog" }, { pageSize: 1 });
    const first = list.next();
    const asked = await peer.expect(Opcode.LIST);
    assert.deepEqual(decode(asked.body), ["pets", { index: "kind", value: "dog", limit: 1 }]);
    peer.send(data(Opcode.LIST, 200, asked.id, ["c1", [{ id: "a" }]]));
    assert.deepEqual((await first).value, { id: "a" });
    const second = list.next();
    const more = await peer.expect(Opcode.LIST);
    assert.deepEqual(decode(more.body), ["pets", { index: "kind", value: "dog", limit: 1, cursor: "c1" }]);
    peer.send(data(Opcode.LIST, 200, more.id, [null, [{ id: "b" }]]));
    assert.deepEqual((await second).value, { id: "b" });
    assert.equal((await list.next()).done, true);
  }));

// ---- subscriptions ----

async function subscribe(db: Client, peer: FakePeer, options: SubscribeOptions = {}): Promise<[Subscription, Frame]> {
  const subscription = db.subscribe(options);
  const asked = await peer.expect(Opcode.SUBSCRIBE);
  return [subscription, asked];
}

const ids = (...each: IteratorResult<Change>[]): (string | null)[] => each.map((one) => (one.value as Change).id);

test("a change has the members of REST's, in our words", () =>
  pair({}, async (db, peer) => {
    const [subscription, asked] = await subscribe(db, peer, { collection: "pets", pattern: { changed: ["age"] }, view: "new", enterLeave: true });
    const message = messageOf(asked);
    assert.deepEqual([message.collection, message.pattern, message.view, message.enterLeave], ["pets", '{"changed":["age"]}', 2, true]);
    peer.send(subscribed(asked.id, "p1"));
    await subscription.ready;
    assert.equal(subscription.position, "p1");
    peer.send(changes(asked.id, [[Kind.CHANGE, "p2", { ...change(7, "rex"), transition: "enter" }]]));
    const { raw, ...shown } = (await subscription.next()).value as Change;
    assert.equal(raw["eventSource"], "freshet");
    assert.deepEqual(shown, {
      eventName: "MODIFY",
      position: "p2",
      collection: "pets",
      id: "rex",
      sequence: 7,
      version: 1,
      newImage: { id: "rex", age: 7 },
      oldImage: { id: "rex", age: 6 },
      changed: ["age"],
      transition: "enter",
      time: new Date(Date.UTC(2026, 0, 1)),
      eventId: "e7",
    });
    assert.equal(subscription.position, "p2");
  }));

test("after a loss it goes on behind what has come, progress included", () =>
  pair({}, async (db, peer, server) => {
    const [subscription, asked] = await subscribe(db, peer, { start: "earliest" });
    assert.equal(messageOf(asked).from, From.EARLIEST);
    peer.send(subscribed(asked.id, "p0"), changes(asked.id, [[Kind.CHANGE, "p1", change(1, "a")], [Kind.CHANGE, "p2", change(2, "b")], [Kind.PROGRESS, "p9", null]]));
    const first = await subscription.next();
    peer.drop();
    const again = await next(server);
    const second = await again.expect(Opcode.SUBSCRIBE);
    const message = messageOf(second);
    assert.deepEqual([message.from, message.position], [From.POSITION, "p9"]);
    again.send(subscribed(second.id, "p9"), changes(second.id, [[Kind.CHANGE, "p10", change(10, "c")]]));
    assert.deepEqual(ids(first, await subscription.next(), await subscription.next()), ["a", "b", "c"]);
    assert.equal(subscription.position, "p10");
  }));

test("a snapshot that has not begun begins anew; in its middle it goes on", () =>
  pair({}, async (db, peer, server) => {
    const [subscription, asked] = await subscribe(db, peer, { start: "snapshot" });
    peer.send(subscribed(asked.id, "s0"));
    await subscription.ready;
    peer.drop();
    const second = await next(server);
    const anew = await second.expect(Opcode.SUBSCRIBE);
    assert.equal(messageOf(anew).from, From.SNAPSHOT);
    second.send(subscribed(anew.id, "s0"), changes(anew.id, [[Kind.SNAPSHOT, "s1", change(1, "a", "INSERT")]]));
    assert.equal(((await subscription.next()).value as Change).eventName, "SNAPSHOT");
    second.drop();
    const third = await next(server);
    const on = await third.expect(Opcode.SUBSCRIBE);
    assert.deepEqual([messageOf(on).from, messageOf(on).position], [From.POSITION, "s1"]);
    third.send(subscribed(on.id, "s1"), changes(on.id, [[Kind.SYNCED, "s2", null]]));
    assert.equal(((await subscription.next()).value as Change).eventName, "SYNCED");
  }));

test("a position that is gone is thrown, behind what had come", () =>
  pair({}, async (db, peer) => {
    const [subscription, asked] = await subscribe(db, peer, { start: "p5" });
    peer.send(subscribed(asked.id, "p5"), changes(asked.id, [[Kind.CHANGE, "p6", change(6, "a")]]));
    peer.send(error(asked.id, 410, { type: "position-expired", oldest: "p50" }));
    const seen: unknown[] = [];
    await assert.rejects(
      async () => {
        for await (const each of subscription) {
          seen.push(each.id);
        }
      },
      (caught: unknown) => caught instanceof PositionExpired && caught.oldest === "p50",
    );
    assert.deepEqual(seen, ["a"]);
    assert.equal((await subscription.next()).done, true);
  }));

test("leaving the loop unsubscribes", () =>
  pair({}, async (db, peer) => {
    const [subscription, asked] = await subscribe(db, peer);
    peer.send(subscribed(asked.id, "p0"), changes(asked.id, [[Kind.CHANGE, "p1", change(1, "a")], [Kind.CHANGE, "p2", change(2, "b")]]));
    for await (const each of subscription) {
      assert.equal(each.id, "a");
      break;
    }
    const end = await peer.expect(Opcode.UNSUBSCRIBE);
    assert.equal(end.id, asked.id);
    peer.send(changes(asked.id, [[Kind.CHANGE, "p3", change(3, "c")]]), frame(Opcode.UNSUBSCRIBE | ANSWER, 200, end.id));
    assert.equal((await subscription.next()).done, true);
  }));

test("credit is given back as changes are iterated, half a window at a time", () =>
  pair({}, async (db, peer) => {
    const [subscription, asked] = await subscribe(db, peer, { credit: 10 });
    assert.equal(messageOf(asked).credit, 10);
    const items = (from: number, count: number): [number, string, object][] =>
      Array.from({ length: count }, (_, i) => [Kind.CHANGE, `p${from + i}`, change(from + i, String(from + i))]);
    peer.send(subscribed(asked.id, "p0"), changes(asked.id, items(1, 10)));
    for (let i = 0; i < 5; i++) {
      await subscription.next();
    }
    assert.equal(decodeControl(CreditSchema, (await peer.expect(Opcode.CREDIT)).body).changes, 5);
    peer.send(changes(asked.id, items(11, 11)));
    await assert.rejects(async () => {
      for await (const each of subscription) {
        assert.ok((each.sequence as number) <= 10);
      }
    }, ProtocolError);
  }));

test("a window of large changes is smaller", () =>
  pair({}, async (db, peer, server) => {
    const [subscription, asked] = await subscribe(db, peer);
    const { credit } = messageOf(asked);
    assert.ok(credit < 4096);
    peer.send(subscribed(asked.id, "p0"));
    const large = { ...change(1, "a"), newImage: { id: "a", text: "x".repeat(4 << 20) } };
    for (let i = 1; i <= 20; i++) {
      peer.send(changes(asked.id, [[Kind.CHANGE, `p${i}`, large]]));
      await subscription.next();
    }
    // Had each CREDIT been half of the first window, there would be thousands on their way.
    peer.drop();
    const again = await next(server);
    assert.ok(messageOf(await again.expect(Opcode.SUBSCRIBE)).credit <= 64);
  }));

test("marks do not pile up while nobody iterates", () =>
  pair({}, async (db, peer) => {
    const [subscription, asked] = await subscribe(db, peer, { progress: true });
    peer.send(subscribed(asked.id, "p0"), changes(asked.id, [[Kind.SYNCED, "p1", null]]));
    for (let i = 0; i < 10_000; i += 100) {
      peer.send(changes(asked.id, Array.from({ length: 100 }, (_, j) => [j % 2 ? Kind.PROGRESS : Kind.CAUGHT_UP, `p${i + j}`, null])));
    }
    peer.send(changes(asked.id, [[Kind.CHANGE, "q", change(1, "a")]]));
    await roundTrip(db, peer);
    const seen: string[] = [];
    for await (const each of subscription) {
      seen.push(each.eventName);
      if (each.eventName === "MODIFY") {
        break;
      }
    }
    assert.deepEqual(seen, ["SYNCED", "PROGRESS", "MODIFY"]);
  }));

test("a consumer does not get again what it was handed and has not acknowledged", () =>
  pair({}, async (db, peer, server) => {
    const [subscription, asked] = await subscribe(db, peer, { consumer: "mailer" });
    const item = (n: number): [number, string, object] => [Kind.CHANGE, `p${n}`, change(n, String(n))];
    peer.send(subscribed(asked.id, "p0"), changes(asked.id, [item(1), item(2), item(3)]));
    const first = await subscription.next();
    const second = await subscription.next();
    const acked = subscription.ack(first.value as Change);
    const ack = await peer.expect(Opcode.ACK);
    peer.send(frame(Opcode.ACK | ANSWER, 200, ack.id));
    await acked;
    peer.drop();
    const again = await next(server);
    const resumed = await again.expect(Opcode.SUBSCRIBE);
    assert.deepEqual([messageOf(resumed).consumer, messageOf(resumed).from], ["mailer", From.LATEST]);
    again.send(subscribed(resumed.id, "p1"), changes(resumed.id, [item(2), item(3), item(4)]));
    assert.deepEqual(ids(second, await subscription.next(), await subscription.next()), ["2", "3", "4"]);
  }));

test("a member whose slots move subscribes again; another conflict is thrown", () =>
  pair({}, async (db, peer) => {
    const [subscription, asked] = await subscribe(db, peer, { consumer: "g", member: "m1" });
    peer.send(subscribed(asked.id, "p0"), changes(asked.id, [[Kind.CHANGE, "p1", change(1, "a")], [Kind.CHANGE, "p2", change(2, "b")]]));
    assert.deepEqual(ids(await subscription.next()), ["a"]);
    peer.send(error(asked.id, 409));
    const again = await peer.expect(Opcode.SUBSCRIBE);
    peer.send(subscribed(again.id, "p0"), changes(again.id, [[Kind.CHANGE, "p1", change(1, "a")], [Kind.CHANGE, "p3", change(3, "c")]]));
    assert.deepEqual(ids(await subscription.next()), ["c"]);
    const [other, refused] = await subscribe(db, peer, { consumer: "h", member: "m1" });
    peer.send(error(refused.id, 409));
    await assert.rejects(other.next(), Conflict);
  }));

test("a consumer that was altered is read again by its only reader, and no more often than it is let in", () =>
  pair({}, async (db, peer) => {
    const [subscription, asked] = await subscribe(db, peer, { consumer: "c" });
    peer.send(subscribed(asked.id, "p0"), error(asked.id, 409));
    const again = await peer.expect(Opcode.SUBSCRIBE);
    peer.send(error(again.id, 409));
    await assert.rejects(subscription.next(), Conflict);
  }));

test("on GOAWAY nothing is sent any more, what is in flight is answered, and the next connection goes on", () =>
  pair({}, async (db, peer, server) => {
    const [subscription, asked] = await subscribe(db, peer);
    peer.send(subscribed(asked.id, "p0"));
    const inFlight = db.get("pets", "a");
    const read = await peer.expect(Opcode.GET);
    peer.send(frame(Opcode.GOAWAY, 0, 0, encodeControl(GoawaySchema, { detail: "bye", subscriptions: [{ id: asked.id, position: "p8" }] })));
    peer.send(invalidate(99, "p", true, []));
    peer.send(changes(asked.id, [[Kind.CHANGE, "p8", change(8, "z")]]));
    assert.deepEqual(ids(await subscription.next()), ["z"]);
    const waiting = db.get("pets", "b");
    peer.send(found(read.id, 1, null));
    assert.equal(await inFlight, null);
    await assert.rejects(peer.expect(Opcode.GET), /closed/);
    const again = await next(server);
    assert.equal(messageOf(await again.expect(Opcode.SUBSCRIBE)).position, "p8");
    again.send(found((await again.expect(Opcode.GET)).id, 1, { id: "b" }));
    assert.deepEqual(await waiting, { id: "b" });
  }));

test("a signal ends a subscription with its reason", () =>
  pair({}, async (db, peer) => {
    const controller = new AbortController();
    const [subscription] = await subscribe(db, peer, { signal: controller.signal });
    const waiting = assert.rejects(subscription.next(), { name: "AbortError" });
    controller.abort();
    await waiting;
    await peer.expect(Opcode.UNSUBSCRIBE);
    assert.throws(() => db.subscribe({ signal: controller.signal }), { name: "AbortError" });
  }));

test("close ends subscriptions, and waits for what is in flight", () =>
  pair({}, async (db, peer) => {
    const [subscription] = await subscribe(db, peer);
    const write = db.put("pets", "rex", {});
    const asked = await peer.expect(Opcode.PUT);
    const closing = db.close();
    assert.equal((await subscription.next()).done, true);
    await assert.rejects(db.get("pets", "rex"), Disconnected);
    peer.send(written(Opcode.PUT, 200, asked.id, 3, "rex"));
    assert.equal((await write).version, 1);
    await closing;
    await peer.closed();
  }));

// ---- near cache ----

/** Its subscription stands, is live, and has a lease. */
async function leased(peer: FakePeer, position: string): Promise<Frame> {
  const asked = await peer.expect(Opcode.SUBSCRIBE);
  assert.equal(messageOf(asked).invalidate, true);
  peer.send(subscribed(asked.id, position), invalidate(asked.id, position, true, []));
  const ping = await peer.expectPing();
  peer.send(frame(Opcode.PING | ANSWER, 200, ping.id, ping.body));
  return asked;
}

async function reads(db: Client, peer: FakePeer, sequence: number, record: object | null): Promise<void> {
  const read = db.find("pets", "rex");
  peer.send(found((await peer.expect(Opcode.GET)).id, sequence, record));
  assert.equal((await read)?.near ?? false, false);
}

const NEAR = { nearCacheBytes: 1 << 20, nearCacheLeaseMs: 60_000 };

test("a hit asks nobody, and belongs to its reader alone", () =>
  pair(NEAR, async (db, peer) => {
    await leased(peer, "p0");
    await reads(db, peer, 5, { id: "rex", toys: ["ball"] });
    const first = await db.get<{ toys: string[] }>("pets", "rex");
    first?.toys.push("bone");
    const second = await db.find("pets", "rex");
    assert.deepEqual([second?.record, second?.near, second?.etag], [{ id: "rex", toys: ["ball"] }, true, '"0-1-5"']);
    assert.deepEqual(await db.getMany("pets", ["rex"]), [{ id: "rex", toys: ["ball"] }]);
    assert.equal(db.nearStatistics()?.hits, 3);
  }));

test("absence is cached, too", () =>
  pair(NEAR, async (db, peer) => {
    await leased(peer, "p0");
    await reads(db, peer, 5, null);
    assert.equal(await db.get("pets", "rex"), null);
    assert.equal(db.nearStatistics()?.hits, 1);
  }));

test("an invalidation, an own write, and a write of unknown outcome forget the key", () =>
  pair(NEAR, async (db, peer) => {
    const asked = await leased(peer, "p0");
    await reads(db, peer, 5, { id: "rex" });
    peer.send(invalidate(asked.id, "p6", true, [[1, 6, "pets", "rex"]]));
    const ping = db.ping();
    const pinged = await peer.expectPing();
    peer.send(frame(Opcode.PING | ANSWER, 200, pinged.id, pinged.body));
    await ping;
    await reads(db, peer, 6, { id: "rex" });
    const write = db.put("pets", "rex", {});
    peer.send(written(Opcode.PUT, 200, (await peer.expect(Opcode.PUT)).id, 7, "rex"));
    await write;
    await reads(db, peer, 7, { id: "rex" });
    const lost = assert.rejects(db.patch("pets", "rex", {}, { timeoutMs: 10 }), OutcomeUnknown);
    await peer.expect(Opcode.PATCH);
    await lost;
    await reads(db, peer, 7, { id: "rex" });
    const batch = db.batch([{ op: "delete", collection: "pets", id: "rex" }]);
    peer.send(data(Opcode.BATCH, 200, (await peer.expect(Opcode.BATCH)).id, [[200, [1, 8, 0, "rex", null, "p8", true]]]));
    assert.equal((await batch)[0].status, "fulfilled");
    await reads(db, peer, 8, null);
  }));

test("a change that was told is never followed by what was before it", () =>
  pair(NEAR, async (db, peer) => {
    await leased(peer, "p0");
    await reads(db, peer, 5, { id: "rex", n: 1 });
    const stream = db.subscribe({ collection: "pets" });
    const { id } = await peer.expect(Opcode.SUBSCRIBE);
    const slow = db.find("pets", "rex", { fresh: true });
    const asked = await peer.expect(Opcode.GET);
    peer.send(subscribed(id, "p1"), changes(id, [[0, "p6", change(6, "rex")]]));
    assert.equal((await stream.next()).value?.id, "rex");
    peer.send(found(asked.id, 5, { id: "rex", n: 1 }));
    await slow;
    await reads(db, peer, 6, { id: "rex", n: 2 });
    assert.equal((await db.find("pets", "rex"))?.near, true);
    stream.close();
  }));

test("a record of a list is never followed by what was before it", () =>
  pair(NEAR, async (db, peer) => {
    await leased(peer, "p0");
    const list = async (n: number): Promise<void> => {
      const listed = db.list("pets").next();
      peer.send(data(Opcode.LIST, 200, (await peer.expect(Opcode.LIST)).id, [null, [{ id: "rex", n }]]));
      assert.deepEqual((await listed).value, { id: "rex", n });
    };
    await reads(db, peer, 5, { id: "rex", n: 1 });
    await list(1);
    assert.equal((await db.find("pets", "rex"))?.near, true, "it showed the same");
    const slow = db.find("pets", "rex", { fresh: true });
    const asked = await peer.expect(Opcode.GET);
    await list(2);
    peer.send(found(asked.id, 5, { id: "rex", n: 1 }));
    await slow;
    await reads(db, peer, 6, { id: "rex", n: 2 });
  }));

test("`fresh` and `minPosition` go past it", () =>
  pair(NEAR, async (db, peer) => {
    await leased(peer, "p0");
    await reads(db, peer, 5, { id: "rex" });
    for (const options of [{ fresh: true }, { minPosition: "p9" }]) {
      const read = db.get("pets", "rex", options);
      peer.send(found((await peer.expect(Opcode.GET)).id, 9, { id: "rex" }));
      await read;
    }
  }));

test("after a reconnect it goes on from the last position, and serves what it had when it is live again", () =>
  pair(NEAR, async (db, peer, server) => {
    const asked = await leased(peer, "p0");
    await reads(db, peer, 5, { id: "rex" });
    peer.send(invalidate(asked.id, "p7", true, []));
    await roundTrip(db, peer);
    peer.drop();
    const again = await next(server, ["invalidate"]);
    const resumed = await again.expect(Opcode.SUBSCRIBE);
    assert.deepEqual([messageOf(resumed).from, messageOf(resumed).position], [From.POSITION, "p7"]);
    await reads(db, again, 5, { id: "rex" });
    again.send(subscribed(resumed.id, "p7"), invalidate(resumed.id, "p8", true, []));
    const ping = await again.expectPing();
    again.send(frame(Opcode.PING | ANSWER, 200, ping.id, ping.body));
    await roundTrip(db, again);
    assert.equal((await db.find("pets", "rex"))?.near, true);
  }));

test("when the position is gone everything is forgotten", () =>
  pair(NEAR, async (db, peer, server) => {
    await leased(peer, "p0");
    await reads(db, peer, 5, { id: "rex" });
    peer.drop();
    const again = await next(server, ["invalidate"]);
    const resumed = await again.expect(Opcode.SUBSCRIBE);
    again.send(error(resumed.id, 410, { type: "position-expired" }));
    const anew = await leased(again, "q0");
    assert.equal(messageOf(anew).position === "p0", false);
    await roundTrip(db, again);
    assert.equal(db.nearStatistics()?.entries, 0);
    await reads(db, again, 9, { id: "rex" });
  }));

/** Everything that the server sent before has arrived. */
async function roundTrip(db: Client, peer: FakePeer): Promise<void> {
  const ping = db.ping();
  const asked = await peer.expectPing();
  peer.send(frame(Opcode.PING | ANSWER, 200, asked.id, asked.body));
  await ping;
}
