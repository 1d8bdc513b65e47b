import assert from "node:assert/strict";
import { test } from "node:test";
import { NearCache } from "../dist/near.js";
import type { Fill } from "../dist/near.js";
import { SEED, randomOf } from "./support.js";

const LEASE_MS = 1000;
const KEY = NearCache.key("pets", "rex");
const body = (text: string): Uint8Array => Buffer.from(text);

/** A cache whose subscription stands, live, with a lease from `nowMs`. */
function leased(bytesMax = 1 << 20, nowMs = 0): NearCache {
  const near = new NearCache(bytesMax, LEASE_MS);
  near.subscribed("p0", nowMs);
  near.invalidated("p0", true, []);
  near.ponged(nowMs);
  return near;
}

function fill(near: NearCache, key: string, sequence: number, text: string): void {
  const read = near.begin(key) as Fill;
  near.fill(read, 1, sequence, body(text));
  near.end(read);
}

const shown = (near: NearCache, nowMs: number, key = KEY): string | null => {
  const bytes = near.get(key, nowMs);
  return bytes === null ? null : Buffer.from(bytes).toString();
};

test("an entry is served until the PING was sent a lease ago", () => {
  const near = leased();
  fill(near, KEY, 5, "five");
  assert.equal(shown(near, LEASE_MS - 1), "five");
  assert.equal(shown(near, LEASE_MS), null);
  near.ponged(900);
  assert.equal(shown(near, 1899), "five");
  assert.equal(shown(near, 1900), null);
});

test("nothing is served before `live` and a PONG, nor after either is gone", () => {
  const near = new NearCache(1 << 20, LEASE_MS);
  near.ponged(0);
  near.subscribed("p0", 10);
  near.invalidated("p0", true, []);
  fill(near, KEY, 5, "five");
  near.ponged(9);
  assert.equal(shown(near, 20), null, "a PING from before the subscription");
  near.ponged(10);
  assert.equal(shown(near, 20), "five");
  near.invalidated("p1", false, []);
  assert.equal(shown(near, 20), null, "not live");
  near.invalidated("p2", true, []);
  assert.equal(shown(near, 20), "five");
  near.disconnected();
  near.ponged(20);
  assert.equal(shown(near, 21), null, "disconnected");
});

test("without a position no answer is kept", () => {
  const near = new NearCache(1 << 20, LEASE_MS);
  assert.equal(near.begin(KEY), null);
  near.subscribed("", 0);
  assert.equal(near.begin(KEY), null);
  near.invalidated("p1", true, []);
  assert.notEqual(near.begin(KEY), null);
});

test("an answer that is older than what was told while it was under way is not kept", () => {
  for (const [told, kept] of [[4, true], [5, true], [6, false]] as const) {
    const near = leased();
    const read = near.begin(KEY) as Fill;
    near.invalidated("p1", true, [[1, told, "pets", "rex"]]);
    near.fill(read, 1, 5, body("five"));
    near.end(read);
    assert.equal(shown(near, 1), kept ? "five" : null, `told ${told}`);
  }
});

test("epochs come first in the comparison", () => {
  const near = leased();
  const read = near.begin(KEY) as Fill;
  near.outdate(KEY, 2, 1);
  near.fill(read, 1, 99, body("old"));
  assert.equal(shown(near, 1), null);
  near.fill(read, 2, 1, body("new"));
  assert.equal(shown(near, 1), "new");
  near.outdate(KEY, 1, 100);
  assert.equal(shown(near, 1), "new");
});

test("a key is forgotten when something newer is told, and a late older answer does not come in its place", () => {
  const near = leased();
  const early = near.begin(KEY) as Fill;
  fill(near, KEY, 7, "seven");
  near.fill(early, 1, 5, body("five"));
  assert.equal(shown(near, 1), "seven");
  near.invalidated("p1", true, [[1, 7, "pets", "rex"]]);
  assert.equal(shown(near, 1), "seven", "that is the state itself");
  near.invalidated("p2", true, [[1, 8, "pets", "rex"]]);
  assert.equal(shown(near, 1), null);
});

test("an answer that is not kept has been read all the same: nothing older is shown or kept after it", () => {
  const near = leased(300);
  const early = near.begin(KEY) as Fill;
  fill(near, KEY, 20, "twenty");
  fill(near, NearCache.key("pets", "other"), 21, "x".repeat(40)); // pushes the first out
  assert.equal(shown(near, 1), null, "evicted");
  near.fill(early, 1, 15, body("fifteen"));
  near.end(early);
  assert.equal(shown(near, 1), null, "an older answer after a newer one");

  const lost = leased();
  const before = lost.begin(KEY) as Fill;
  lost.clear();
  lost.subscribed("p0", 2);
  lost.invalidated("p0", true, []);
  lost.ponged(2);
  fill(lost, KEY, 5, "five");
  lost.fill(before, 1, 9, body("nine"));
  assert.equal(shown(lost, 3), null, "an older entry under an answer from before");
});

test("a reconnect keeps what is cached, a lost position does not, nor answers from before", () => {
  const near = leased();
  fill(near, KEY, 5, "five");
  near.disconnected();
  assert.equal(near.position, "p0");
  near.subscribed("p0", 100);
  near.invalidated("p3", true, []);
  near.ponged(100);
  assert.equal(shown(near, 101), "five");
  const read = near.begin(KEY) as Fill;
  near.clear();
  assert.equal(near.position, "");
  near.subscribed("q0", 200);
  near.invalidated("q0", true, []);
  near.ponged(200);
  assert.equal(shown(near, 201), null);
  const anew = near.begin(KEY) as Fill;
  near.fill(read, 1, 6, body("six"));
  near.end(read);
  assert.equal(shown(near, 201), null);
  near.fill(anew, 1, 7, body("seven"));
  near.end(anew);
  assert.equal(shown(near, 201), "seven");
});

test("it holds no more bytes than it may, and the least used goes first", () => {
  const near = leased(3 * 300);
  for (const id of ["a", "b", "c", "d"]) {
    fill(near, id, 1, "x".repeat(100));
    near.get("a", 1);
  }
  assert.ok(near.statistics.bytes <= 900);
  assert.equal(near.statistics.entries, 3);
  assert.equal(shown(near, 1, "a"), "x".repeat(100));
  assert.equal(shown(near, 1, "b"), null);
  fill(near, "huge", 1, "x".repeat(1000));
  assert.equal(near.statistics.entries, 3);
  assert.equal(shown(near, 1, "huge"), null);
});

/*
 * The model: a server with a history of a few keys, whose answers and invalidations arrive late and in a random order between
 * each other. Checked is the promise itself: what is served is no older than the newest state that was there one lease ago.
 */
test("no read is staler than the lease, whatever the order of what arrives", () => {
  for (let run = 0; run < 300; run++) {
    simulate(SEED + run);
  }
});

interface Ping {
  sentAtMs: number;
  /** The history's length when the server read it. */
  seen: number;
}

function simulate(seed: number): void {
  const random = randomOf(seed);
  const near = new NearCache(4000, LEASE_MS);
  const history: { key: string; atMs: number }[] = [{ key: "none", atMs: 0 }];
  const keys = ["a", "b", "c"].map((id) => NearCache.key("k", id));
  let nowMs = 1000;
  let isUp = false;
  let told = 0;
  let pings: Ping[] = [];
  let reads: { fill: Fill | null; key: string; sequence: number }[] = [];
  const newest = (key: string, before: number): number => history.slice(0, before).findLastIndex((each) => each.key === key);
  const steps: (() => void)[] = [
    () => history.push({ key: keys[random(3)] as string, atMs: nowMs }),
    () => (nowMs += random(400)),
    // A read is sent; the server answers it at once, and the answer arrives later.
    () => {
      const key = keys[random(3)] as string;
      reads.push({ fill: isUp ? near.begin(key) : null, key, sequence: Math.max(0, newest(key, history.length)) });
    },
    () => {
      const read = reads.splice(random(reads.length || 1), 1)[0];
      if (read?.fill) {
        near.fill(read.fill, 1, read.sequence, body(String(read.sequence)));
        near.end(read.fill);
      }
    },
    // Some of what is not told yet is told.
    () => {
      if (isUp) {
        const from = told;
        told += random(history.length - told + 1);
        const changed = history.slice(from, told).map(({ key }, i) => [1, from + i, "k", key.slice(2)] as [number, number, string, string]);
        near.invalidated(`p${told}`, told === history.length, changed);
      }
    },
    () => isUp && pings.push({ sentAtMs: nowMs, seen: history.length }),
    () => {
      if (isUp && pings[0] !== undefined && pings[0].seen <= told) {
        near.ponged((pings.shift() as Ping).sentAtMs);
      }
    },
    () => {
      if (isUp && random(8) === 0) {
        isUp = false;
        pings = [];
        reads.forEach((read) => read.fill && near.end(read.fill));
        reads = [];
        near.disconnected();
        if (random(4) === 0) {
          near.clear();
        }
      } else if (!isUp) {
        isUp = true;
        told = near.position === "" ? history.length : Number(near.position.slice(1));
        near.subscribed(`p${told}`, nowMs);
      }
    },
    () => {
      const key = keys[random(3)] as string;
      const bytes = near.get(key, nowMs);
      if (bytes !== null) {
        const sequence = Number(Buffer.from(bytes).toString());
        const due = history.findLastIndex((each) => each.key === key && each.atMs <= nowMs - LEASE_MS);
        assert.ok(sequence >= due, `seed ${seed}: ${sequence} is served, ${due} is older than the lease`);
      }
    },
    // An own write, answered at once.
    () => {
      const key = keys[random(3)] as string;
      history.push({ key, atMs: nowMs });
      near.outdate(key, 1, history.length - 1);
      const bytes = near.get(key, nowMs);
      assert.equal(bytes, null, `seed ${seed}: an own write is not seen`);
    },
  ];
  for (let step = 0; step < 400; step++) {
    (steps[random(steps.length)] as () => void)();
    assert.ok(near.statistics.bytes <= 4000);
  }
}
