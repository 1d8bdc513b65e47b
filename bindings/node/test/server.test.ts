/** The client against the real server: every call, and every error that a user can bring about. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conflict, Invalid, NotFound, NumberText, PositionExpired, PreconditionFailed, TooLarge, Unprocessable, connect } from "../dist/index.js";
import type { Change, Client, Document, Operation, Subscription } from "../dist/index.js";
import { ASYNC_DISPOSE } from "../dist/subscription.js";
import { FRESHET_BIN, RealServer } from "./support.js";

describe("with a server", { skip: FRESHET_BIN === "" ? "FRESHET_BIN is not set" : false }, () => {
  let server: RealServer;
  let db: Client;

  before(async () => {
    server = await RealServer.start();
    db = await connect(server.url, { clientName: "test" });
  });
  after(async () => {
    await db.close();
    await server.stop();
  });

  test("what is put is got, replaced, patched and deleted", async () => {
    const made = await db.put("pets", "rex", { name: "Rex", age: 3 });
    assert.deepEqual([made.id, made.version, made.changed, made.created], ["rex", 1, true, true]);
    assert.match(made.etag as string, /^"0-[0-9a-f]+-[0-9a-f]+"$/);
    assert.deepEqual(Object.entries((await db.get("pets", "rex")) as Document), [["id", "rex"], ["name", "Rex"], ["age", 3]]);
    const equal = await db.put("pets", "rex", { age: 3, name: "Rex" });
    assert.deepEqual([equal.changed, equal.created, equal.etag], [false, false, made.etag]);
    const patched = await db.patch("pets", "rex", { age: 4, name: null });
    assert.equal(patched.version, 2);
    const found = await db.find("pets", "rex", { minPosition: patched.position });
    assert.deepEqual(found?.record, { id: "rex", age: 4 });
    assert.deepEqual([found?.etag, found?.version, found?.near], [patched.etag, 2, false]);
    assert.deepEqual(await db.get("pets", "rex", { fresh: true }), { id: "rex", age: 4 });
    assert.equal(await db.delete("pets", "rex"), true);
    assert.equal(await db.delete("pets", "rex"), false);
    assert.equal(await db.get("pets", "rex"), null);
    assert.equal(await db.find("pets", "rex"), null);
  });

  test("preconditions hold, or are PreconditionFailed", async () => {
    const made = await db.put("pets", "cond", { n: 1 }, { ifAbsent: true });
    await assert.rejects(db.put("pets", "cond", { n: 2 }, { ifAbsent: true }), PreconditionFailed);
    const second = await db.put("pets", "cond", { n: 2 }, { ifMatch: made.etag as string });
    await assert.rejects(db.patch("pets", "cond", { n: 3 }, { ifMatch: made.etag as string }), PreconditionFailed);
    await assert.rejects(db.delete("pets", "cond", { ifMatch: made.etag as string }), PreconditionFailed);
    await assert.rejects(db.put("pets", "nobody", {}, { ifMatch: "*" }), PreconditionFailed);
    assert.equal(await db.delete("pets", "cond", { ifMatch: second.etag as string }), true);
  });

  test("create makes an id, and with a key only one record", async () => {
    const made = await db.create("products", { title: "Lamp", price: 29.99, category: "lamps" });
    assert.match(made.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.equal(made.created, true);
    const first = await db.create("pets", { name: "once" }, { idempotencyKey: "key-1" });
    const again = await db.create("pets", { name: "once" }, { idempotencyKey: "key-1" });
    assert.equal(again.id, first.id);
    await assert.rejects(db.create("pets", { name: "other" }, { idempotencyKey: "key-1" }), Unprocessable);
  });

  test("errors are of the class, the code and the words that REST has", async () => {
    const cases: [() => Promise<unknown>, new (words: string) => Error, number][] = [
      [() => db.get("nobody", "rex"), NotFound, 404],
      [() => db.patch("pets", "not there", { a: 1 }), NotFound, 404],
      [() => db.put("pets", "x".repeat(513), {}), Invalid, 400],
      [() => db.put("pets", "rex", { id: "other" }), Invalid, 400],
      [() => db.put("products", "p", { price: "dear" }), Unprocessable, 422],
      [() => db.put("pets", "large", { text: "x".repeat((1 << 20) + 1) }), TooLarge, 413],
      [() => db.list("pets", { colour: "red" }).next(), Invalid, 400],
      [() => db.get("pets", "rex", { minPosition: "nonsense" }), Invalid, 400],
      [() => db.subscribe({ pattern: { changed: "not a list" } }).next(), Invalid, 400],
      [() => db.subscribe({ collection: "nobody" }).next(), NotFound, 404],
      [() => db.subscribe({ start: "nonsense" }).next(), Invalid, 400],
    ];
    for (const [i, [call, kind, code]] of cases.entries()) {
      await assert.rejects(call(), (error: { code: number; detail: string } & Error) => {
        assert.ok(error instanceof kind, `${i}: ${error.name} ${error.message}`);
        assert.deepEqual([error.code, error.detail.length > 0], [code, true]);
        return true;
      });
    }
  });

  test("numbers are digit for digit what REST shows", async () => {
    const document = { a: 1, b: 29.99, c: 2 ** 40, d: 2n ** 63n, e: 10n ** 30n, f: new NumberText("1.50"), g: -0.5, h: 1e21 };
    await db.put("pets", "numbers", document);
    const text = await (await fetch(`${server.http}/pets/numbers`)).text();
    const digits = '"a":1,"b":29.99,"c":1099511627776,"d":9223372036854775808,"e":1000000000000000000000000000000,"f":1.50,"g":-0.5,"h":1e21';
    assert.equal(text.trim(), `{"id":"numbers",${digits}}`);
    assert.deepEqual(await db.get("pets", "numbers"), { id: "numbers", ...document });
    const headers = { "content-type": "application/json" };
    await fetch(`${server.http}/pets/numbers`, { method: "PUT", headers, body: '{"a":1.0,"b":1E2,"c":-0,"__proto__":{"d":1}}' });
    const back = (await db.get("pets", "numbers")) as Document;
    assert.deepEqual([back["a"], String(back["b"]), String(back["c"])], [1, "1E2", "-0"]);
    assert.deepEqual(Object.keys(back), ["id", "a", "b", "c", "__proto__"]);
  });

  test("many are got and listed, page by page, and by an index", async () => {
    const ids = Array.from({ length: 1500 }, (_, i) => `many-${String(i).padStart(5, "0")}`);
    await Promise.all(ids.map((id, i) => db.put("products", id, { title: id, category: i % 3 === 0 ? "third" : "other" })));
    const got = await db.getMany("products", [...ids, "not there"]);
    assert.equal(got.length, 1501);
    assert.equal(got[1500], null);
    assert.deepEqual(got.slice(0, 1500).map((each) => each?.["id"]), ids);
    const listed: unknown[] = [];
    for await (const each of db.list("products", {}, { pageSize: 400 })) {
      listed.push(each["id"]);
    }
    assert.deepEqual(listed.filter((id) => String(id).startsWith("many-")), ids);
    const third: unknown[] = [];
    for await (const each of db.list("products", { category: "third" })) {
      third.push(each["id"]);
    }
    assert.equal(third.length, 500);
  });

  test("each operation of a batch stands for itself", async () => {
    await db.put("pets", "b0", { n: 1 });
    const operations = [
      { op: "put", collection: "pets", id: "b1", document: { n: 1 } },
      { op: "get", collection: "pets", id: "b0" },
      { op: "get", collection: "pets", id: "not there" },
      { op: "patch", collection: "pets", id: "not there", patch: {} },
      { op: "put", collection: "pets", id: "b1", document: {}, options: { ifAbsent: true } },
      { op: "create", collection: "pets", document: { n: 2 } },
      { op: "delete", collection: "pets", id: "b1" },
    ] as const satisfies Operation[];
    const [put, got, none, missing, refused, made, deleted] = await db.batch(operations);
    assert.ok(put.status === "fulfilled" && put.value.created);
    assert.ok(got.status === "fulfilled" && got.value?.["n"] === 1);
    assert.ok(none.status === "fulfilled" && none.value === null);
    assert.ok(missing.status === "rejected" && missing.reason instanceof NotFound);
    assert.ok(refused.status === "rejected" && refused.reason instanceof PreconditionFailed);
    assert.ok(made.status === "fulfilled" && made.value.id.length === 36);
    assert.ok(deleted.status === "fulfilled" && deleted.value.changed);
    assert.deepEqual(await db.batch([]), []);
  });

  async function take(subscription: Subscription, count: number): Promise<Change[]> {
    const taken: Change[] = [];
    for (let i = 0; i < count; i++) {
      taken.push((await subscription.next()).value as Change);
    }
    return taken;
  }

  const names = (taken: Change[]): string[] => taken.map((each) => `${each.eventName} ${each.id}`);

  test("changes come as they are made, and a position goes on behind its change", async () => {
    const subscription = db.subscribe({ collection: "pets" });
    await subscription.ready;
    await db.put("pets", "s1", { n: 1 });
    await db.put("pets", "s1", { n: 2, m: true });
    await db.delete("pets", "s1");
    const taken = await take(subscription, 3);
    assert.deepEqual(names(taken), ["INSERT s1", "MODIFY s1", "REMOVE s1"]);
    const [insert, modify, remove] = taken as [Change, Change, Change];
    assert.deepEqual([insert.newImage, insert.oldImage], [{ id: "s1", n: 1 }, null]);
    assert.deepEqual([modify.oldImage, modify.newImage, [...modify.changed].sort()], [{ id: "s1", n: 1 }, { id: "s1", n: 2, m: true }, ["m", "n"]]);
    assert.deepEqual([remove.newImage, remove.oldImage], [null, { id: "s1", n: 2, m: true }]);
    assert.ok((insert.sequence as number) < (modify.sequence as number));
    assert.ok(Math.abs((insert.time as Date).getTime() - Date.now()) < 60_000);
    subscription.close();
    const later = db.subscribe({ collection: "pets", start: insert.position });
    assert.deepEqual(names(await take(later, 2)), ["MODIFY s1", "REMOVE s1"]);
    later.close();
    const since = db.subscribe({ collection: "pets", start: insert.time as Date, pattern: { keys: { id: ["s1"] } } });
    assert.deepEqual(names(await take(since, 3)), names(taken));
    since.close();
  });

  test("a pattern chooses, a view leaves out, and who leaves the pattern is told", async () => {
    const pattern = { newImage: { age: [{ numeric: [">", 10] }] } };
    const subscription = db.subscribe({ collection: "pets", pattern, view: "keys", enterLeave: true });
    await subscription.ready;
    await db.put("pets", "old", { age: 5 });
    await db.put("pets", "old", { age: 15 });
    await db.put("pets", "old", { age: 6 });
    const taken = await take(subscription, 2);
    assert.deepEqual(taken.map((each) => [each.eventName, each.transition, each.newImage]), [["MODIFY", "enter", null], ["MODIFY", "leave", null]]);
    subscription.close();
  });

  test("a snapshot is the records, then SYNCED, then what changes", async () => {
    const seen = new Map<string, unknown>();
    let isSynced = false;
    for await (const each of db.subscribe({ collection: "products", start: "snapshot", credit: 100 })) {
      if (each.eventName === "SYNCED") {
        isSynced = true;
        await db.put("products", "many-00007", { title: "changed" });
      } else if (isSynced) {
        assert.deepEqual([each.eventName, each.id], ["MODIFY", "many-00007"]);
        break;
      } else {
        assert.equal(each.eventName, "SNAPSHOT");
        seen.set(each.id as string, each.newImage);
      }
    }
    const listed: unknown[] = [];
    for await (const each of db.list("products")) {
      listed.push(each["id"]);
    }
    assert.deepEqual([...seen.keys()].sort(), listed);
  });

  test("users' own events come to who asks for all", async () => {
    const subscription = db.subscribe({ pattern: { source: ["shop"] } });
    await subscription.ready;
    const body = JSON.stringify({ source: "shop", "detail-type": "order", detail: { total: 3 } });
    const answer = await fetch(`${server.http}/events`, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.ok(answer.ok);
    const [event] = (await take(subscription, 1)) as [Change];
    assert.deepEqual([event.eventName, event.id, event.collection], ["EVENT", null, null]);
    assert.deepEqual([event.raw["detail-type"], event.raw["detail"]], ["order", { total: 3 }]);
    subscription.close();
  });

  test("progress and being caught up are told to who asks", async () => {
    const subscription = db.subscribe({ collection: "pets", pattern: { keys: { id: ["never"] } }, progress: true, progressMs: 50 });
    await subscription.ready;
    await db.put("pets", "other", { n: Math.random() });
    const seen = new Set<string>();
    for await (const each of subscription) {
      seen.add(each.eventName);
      if (seen.size === 2) {
        break;
      }
    }
    assert.deepEqual([...seen].sort(), ["CAUGHT_UP", "PROGRESS"]);
  });

  test("a consumer goes on from what is acknowledged", async () => {
    const made = await db.consumers.put("mailer", { collection: "pets", pattern: { keys: { id: [{ prefix: "mail" }] } } });
    assert.deepEqual([made.name, made.collection, made.group], ["mailer", "pets", false]);
    assert.deepEqual(made.pattern, { keys: { id: [{ prefix: "mail" }] } });
    for (const id of ["mail-1", "other", "mail-2", "mail-3"]) {
      await db.put("pets", id, { n: 1 });
    }
    const first = db.subscribe({ consumer: "mailer" });
    const taken = await take(first, 2);
    assert.deepEqual(names(taken), ["INSERT mail-1", "INSERT mail-2"]);
    await first.ack(taken[0]);
    first.close();
    const second = db.subscribe({ consumer: "mailer" });
    assert.deepEqual(names(await take(second, 2)), ["INSERT mail-2", "INSERT mail-3"]);
    await second.ack();
    second.close();
    const info = await db.consumers.get("mailer");
    assert.ok(info !== null);
    assert.equal(info.lagEvents, 0);
    await db.consumers.put("another");
    const listed: string[] = [];
    for await (const each of db.consumers.list({ pageSize: 1 })) {
      listed.push(each.name);
    }
    assert.deepEqual(listed, ["another", "mailer"]);
    assert.equal(await db.consumers.delete("another"), true);
    assert.equal(await db.consumers.delete("mailer"), true);
    assert.equal(await db.consumers.delete("mailer"), false);
    assert.equal(await db.consumers.get("mailer"), null);
    await assert.rejects(db.subscribe({ consumer: "mailer" }).next(), NotFound);
    await assert.rejects(db.subscribe().ack(), Invalid);
  });

  test("the members of a group share its changes", async () => {
    await db.consumers.put("team", { collection: "pets", group: true });
    const seen = new Map<string, string[]>();
    const stop = new AbortController();
    const member = async (name: string): Promise<void> => {
      try {
        for await (const each of db.subscribe({ consumer: "team", member: name, signal: stop.signal })) {
          seen.set(each.id as string, [...(seen.get(each.id as string) ?? []), name]);
          if (seen.size % 25 === 0) {
            await db.ack("team", each.position, { member: name }).catch((error: unknown) => assert.ok(error instanceof Conflict));
          }
          if (seen.size === 100) {
            stop.abort();
          }
        }
      } catch (error) {
        assert.equal((error as Error).name, "AbortError");
      }
    };
    const members = [member("m1"), member("m2")];
    await Promise.all(Array.from({ length: 100 }, (_, i) => db.put("pets", `team-${i}`, { i })));
    await Promise.all(members);
    assert.equal(seen.size, 100);
    await db.consumers.delete("team");
  });

  test("a position of another store is expired, with those that there are", async () => {
    const other = await RealServer.start();
    try {
      const elsewhere = await connect(other.url);
      const { position } = await elsewhere.put("pets", "rex", {});
      await elsewhere.close();
      await assert.rejects(db.subscribe({ start: position }).next(), (error: unknown) => {
        assert.ok(error instanceof PositionExpired);
        assert.ok(error.oldest !== "" && error.newest !== "" && error.code === 410);
        return true;
      });
    } finally {
      await other.stop();
    }
  });

  test("checksums, pings and figures", async () => {
    const checked = await connect(server.url, { checked: true });
    assert.deepEqual(checked.server.features, ["checked"]);
    await checked.put("pets", "checked", { n: 1 });
    assert.deepEqual(await checked.get("pets", "checked"), { id: "checked", n: 1 });
    assert.ok((await checked.ping()) < 1_000);
    const stats = await checked.stats();
    assert.ok(stats.size > 0 && [...stats.keys()].every((name) => /^(freshet|process)_/.test(name)));
    assert.match(checked.server.server, /^freshet\//);
    assert.match(checked.server.store, /^[0-9a-f]{32}$/);
    await checked[ASYNC_DISPOSE]();
  });
});
