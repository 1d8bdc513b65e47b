/** The promises that take time to break: no gap and no duplicate through kill -9, no read staler than the lease. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Busy, Disconnected, OutcomeUnknown, connect } from "../dist/index.js";
import type { Change, Client } from "../dist/index.js";
import { FRESHET_BIN, RealServer, SEED, randomOf } from "./support.js";

const KILLS = 3;
const WRITES_BETWEEN = 300;

/** Puts until it is known to be there; a number that is written again is an equal write, and no change. */
async function putSurely(db: Client, id: string, n: number): Promise<void> {
  for (;;) {
    try {
      await db.put("pets", id, { n });
      return;
    } catch (error) {
      assert.ok(error instanceof OutcomeUnknown || error instanceof Disconnected || error instanceof Busy, String(error));
    }
  }
}

describe("with a server that dies", { skip: FRESHET_BIN === "" ? "FRESHET_BIN is not set" : false }, () => {
  test("kill -9 in the middle of a stream: every change once, in order", async () => {
    const server = await RealServer.start();
    const db = await connect(server.url);
    const subscription = db.subscribe({ collection: "pets", start: "earliest", credit: 50 });
    const seen: Change[] = [];
    const total = (KILLS + 1) * WRITES_BETWEEN;
    const reading = (async () => {
      for await (const each of subscription) {
        seen.push(each);
        if (seen.length === total) {
          return;
        }
      }
    })();
    let n = 0;
    for (let life = 0; life <= KILLS; life++) {
      const writes = Array.from({ length: WRITES_BETWEEN }, () => putSurely(db, "counter", n++));
      if (life < KILLS) {
        await writes[WRITES_BETWEEN / 3];
        await server.kill();
        await server.start();
      }
      await Promise.all(writes);
    }
    await reading;
    await db.close();
    await server.stop();
    const sequences = seen.map((each) => each.sequence as number);
    sequences.forEach((sequence, i) => assert.ok(i === 0 || sequence > (sequences[i - 1] as number), "a change came twice, or out of order"));
    // Each change is from what the one before it left: nothing is missing between them.
    seen.forEach((each, i) => assert.deepEqual(each.oldImage, i === 0 ? null : (seen[i - 1] as Change).newImage));
  });
});

describe("with a server and a near cache", { skip: FRESHET_BIN === "" ? "FRESHET_BIN is not set" : false }, () => {
  test("no read is staler than the lease, while others write over REST and the server is killed", async () => {
    const server = await RealServer.start();
    const leaseMs = 400;
    const db = await connect(server.url, { nearCacheBytes: 1 << 20, nearCacheLeaseMs: leaseMs });
    const random = randomOf(SEED);
    const keys = ["a", "b", "c"];
    /** Per key: what has been answered, and when. */
    const answered = new Map<string, { n: number; atMs: number }[]>(keys.map((key) => [key, []]));
    const endMs = performance.now() + 3_000;
    let isUp = true;
    const writer = (async () => {
      for (let n = 1; performance.now() < endMs; n++) {
        const key = keys[random(3)] as string;
        const request = { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ n }) };
        const answer = await fetch(`${server.http}/pets/${key}`, request).catch(() => null);
        if (answer?.ok === true) {
          answered.get(key)?.push({ n, atMs: performance.now() });
        }
        await new Promise((resolve) => setTimeout(resolve, random(20)));
      }
    })();
    const killer = (async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      isUp = false;
      await server.kill();
      await server.start();
      isUp = true;
    })();
    let reads = 0;
    while (performance.now() < endMs) {
      const key = keys[random(3)] as string;
      const startMs = performance.now();
      const found = await db.find<{ n: number }>("pets", key);
      const due = answered.get(key)?.findLast((each) => each.atMs < startMs - (found?.near === true ? leaseMs : 0))?.n ?? 0;
      assert.ok((found?.record.n ?? 0) >= due, `seed ${SEED}: ${found?.record.n} was read (near: ${found?.near}), ${due} was answered`);
      if (++reads % 50 === 0) {
        await new Promise(setImmediate);
      }
    }
    await Promise.all([writer, killer]);
    assert.ok(isUp);
    const statistics = db.nearStatistics();
    assert.ok(statistics !== null && statistics.hits > reads / 4, `seed ${SEED}: only ${statistics?.hits} hits of ${reads} reads`);
    assert.ok(statistics.invalidations > 10);
    await db.close();
    await server.stop();
  });

  test("an own write is read at once", async () => {
    const server = await RealServer.start();
    const db = await connect(server.url, { nearCacheBytes: 1 << 20 });
    for (let n = 1; n <= 300; n++) {
      await db.put("pets", "own", { n });
      assert.equal((await db.get<{ n: number }>("pets", "own"))?.n, n);
      assert.equal((await db.get<{ n: number }>("pets", "own"))?.n, n);
    }
    assert.ok((db.nearStatistics()?.hits ?? 0) > 0);
    await db.close();
    await server.stop();
  });

  test("a clean stop is GOAWAY: the subscription goes on with the next start", async () => {
    const server = await RealServer.start();
    const db = await connect(server.url);
    const subscription = db.subscribe({ collection: "pets" });
    await subscription.ready;
    await db.put("pets", "before", { n: 1 });
    assert.equal((await subscription.next()).value?.id, "before");
    await server.terminate();
    await server.start();
    await putSurely(db, "after", 2);
    assert.equal((await subscription.next()).value?.id, "after");
    await db.close();
    await server.stop();
  });
});
