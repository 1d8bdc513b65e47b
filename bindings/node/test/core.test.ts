import assert from "node:assert/strict";
import { test } from "node:test";
import { Core, Kind } from "../dist/core.js";
import type { CoreEvent } from "../dist/core.js";
import { encode } from "../dist/document.js";
import { Invalid, NotFound, PositionExpired, ProtocolError, TooLarge } from "../dist/errors.js";
import { ANSWER, FrameReader, Opcode } from "../dist/frame.js";
import type { Frame } from "../dist/frame.js";
import { change, changes, data, error, found, frame, invalidate, subscribed, welcome } from "./support.js";

function core(features: string[] = []): Core {
  const made = new Core({ client: "test/1", features });
  made.takeOutput();
  return made;
}

function open(features: string[] = []): Core {
  const made = core(features);
  made.receive(welcome(1, features));
  return made;
}

function sent(made: Core): Frame[] {
  const reader = new FrameReader();
  reader.push(Buffer.concat(made.takeOutput()));
  const frames: Frame[] = [];
  for (let each = reader.next(); each !== null; each = reader.next()) {
    frames.push(each);
  }
  return frames;
}

const fatal = (events: CoreEvent[]): Error | undefined => {
  const last = events.at(-1);
  return last?.type === "fatal" ? last.error : undefined;
};

test("the first frame is HELLO, and the answers of a whole talk are the same wherever they are cut", () => {
  const script = Buffer.concat([
    welcome(1, ["checked"]),
    found(2, 5, { id: "rex" }),
    subscribed(3, "p1"),
    changes(3, [[Kind.CHANGE, "p2", change(2, "rex")], [Kind.CAUGHT_UP, "p3", null]]),
    error(3, 410, { type: "position-expired", oldest: "p9" }),
    invalidate(4, "p4", true, [[1, 2, "pets", "rex"]]),
    frame(Opcode.GOAWAY, 0, 0),
  ]);
  const talk = (pieces: Uint8Array[]): unknown[] => {
    const made = new Core({ client: "test/1", features: ["checked", "invalidate"] });
    assert.deepEqual(sent(made).map((each) => [each.opcode, each.id]), [[Opcode.HELLO, 1]]);
    made.request(Opcode.GET, encode(["pets", "rex"]));
    assert.equal(made.subscribe({}), 3);
    assert.equal(made.subscribe({ invalidate: true }), 4);
    return pieces.flatMap((piece) => made.receive(piece)).map((event) => JSON.stringify(event));
  };
  const whole = talk([script]);
  assert.equal(whole.length, 7);
  for (let cut = 1; cut < script.length; cut++) {
    assert.deepEqual(talk([script.subarray(0, cut), script.subarray(cut)]), whole);
  }
  assert.deepEqual(talk([...script].map((byte) => Uint8Array.of(byte))), whole);
});

test("what is sent after WELCOME has checksums, if both have them", () => {
  const made = open(["checked"]);
  made.request(Opcode.PING, Buffer.from("x"));
  assert.deepEqual(sent(made).map((each) => each.flags), [2]);
});

test("ids are not used twice while they are in flight, and not 0", () => {
  const made = open();
  const ids = [made.request(Opcode.PING), made.subscribe({}), made.request(Opcode.PING)];
  assert.deepEqual(ids, [2, 3, 4]);
  made.receive(frame(Opcode.PING | ANSWER, 200, 2));
  assert.equal(made.request(Opcode.PING), 5);
  assert.equal(made.inFlightCount, 3);
});

test("an ERROR is the class that its status stands for", () => {
  const made = open();
  const id = made.request(Opcode.GET);
  const events = made.receive(error(id, 404, { detail: "Pet not found" }));
  assert.ok(events[0]?.type === "failed" && events[0].error instanceof NotFound);
  assert.equal(events[0].error.detail, "Pet not found");
  const subscription = made.subscribe({});
  const ended = made.receive(error(subscription, 410, { type: "position-expired", oldest: "a" }))[0];
  assert.ok(ended?.type === "ended" && ended.error instanceof PositionExpired);
  assert.equal(ended.error.oldest, "a");
});

test("what is on its way when a subscription is ended is passed over, in any order", () => {
  const orders = [
    (id: number) => [subscribed(id, "p"), changes(id, [])],
    (id: number) => [error(id, 410)],
    (id: number) => [changes(id, [[Kind.CHANGE, "p", change(1, "a")]])],
  ];
  for (const order of orders) {
    const made = open();
    const id = made.subscribe({});
    made.unsubscribe(id);
    made.unsubscribe(id);
    assert.deepEqual(sent(made).map((each) => each.opcode), [Opcode.SUBSCRIBE, Opcode.UNSUBSCRIBE]);
    assert.deepEqual(made.receive(Buffer.concat([...order(id), frame(Opcode.UNSUBSCRIBE | ANSWER, 200, id)])), []);
    assert.equal(made.inFlightCount, 0);
  }
});

test("frames of a later protocol, and answers to nobody, are passed over", () => {
  const made = open();
  const id = made.request(Opcode.PING);
  const bytes = [frame(0x77, 0, id), frame(0xf1, 200, id), data(Opcode.GET, 200, 99, [1]), error(77, 500), changes(66, [])];
  assert.deepEqual(made.receive(Buffer.concat(bytes)), []);
  assert.equal(made.receive(frame(Opcode.PING | ANSWER, 200, id))[0]?.type, "answer");
});

test("a hostile server is one event, and then silence", () => {
  const hostile: [string, (made: Core) => Buffer][] = [
    ["no WELCOME", () => found(1, 1, null)],
    ["HTTP", () => Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["WELCOME of another version", () => frame(Opcode.HELLO | ANSWER, 200, 1, Uint8Array.of(8, 9))],
    ["a WELCOME that is no message", () => frame(Opcode.HELLO | ANSWER, 200, 1, Uint8Array.of(10, 200))],
  ];
  const afterwards: [string, (made: Core) => Buffer][] = [
    ["another answer than was asked for", (made) => data(Opcode.PUT, 200, made.request(Opcode.GET), [])],
    ["CHANGES that are no array", (made) => frame(Opcode.CHANGES, 0, made.subscribe({}), encode({ a: 1 }))],
    ["an item that is none", (made) => frame(Opcode.CHANGES, 0, made.subscribe({}), encode([[0, 1, 2]]))],
    ["a change that is none", (made) => changes(made.subscribe({}), [[0, "p", null]])],
    ["a body that ends too soon", (made) => frame(Opcode.CHANGES, 0, made.subscribe({}), Uint8Array.of(0x92))],
    ["INVALIDATE without a position", (made) => frame(Opcode.INVALIDATE, 0, made.subscribe({}), encode([1, true, []]))],
    ["a negative sequence", (made) => invalidate(made.subscribe({}), "p", true, [[1, -1, "pets", "a"]])],
    ["a length of 4 GiB", () => Buffer.from("ffffffff" + "00".repeat(12), "hex")],
  ];
  for (const [what, bytes] of hostile) {
    const made = core();
    assert.ok(fatal(made.receive(bytes(made))) instanceof ProtocolError, what);
  }
  for (const [what, bytes] of afterwards) {
    const made = open();
    assert.ok(fatal(made.receive(Buffer.concat([bytes(made), found(2, 1, null)]))) instanceof ProtocolError, what);
    assert.deepEqual(made.receive(found(2, 1, null)), [], what);
  }
});

test("an ERROR without an id ends the connection with the server's words", () => {
  assert.ok(fatal(core().receive(error(1, 400, { detail: "versions" }))) instanceof Invalid);
  assert.ok(fatal(open().receive(error(0, 413, { detail: "too long" }))) instanceof TooLarge);
});

test("what no server takes is not sent", () => {
  const made = open();
  assert.throws(() => made.request(Opcode.PUT, new Uint8Array((8 << 20) + 1)), TooLarge);
  assert.equal(made.takeOutput().length, 0);
  assert.equal(made.inFlightCount, 0);
});

test("random bytes never throw", () => {
  for (let seed = 0; seed < 300; seed++) {
    const made = open();
    made.request(Opcode.GET);
    made.subscribe({});
    const bytes = Buffer.from(Array.from({ length: 64 }, (_, i) => (Math.imul(seed + 1, 2654435761) >>> i % 24) & 0xff));
    bytes.writeUInt32BE(seed % 40, 0);
    bytes[4] = [0x81, 0x20, 0x21, 0xff, 0x48, 0xc1][seed % 6] as number;
    bytes[5] = 0;
    bytes.writeUInt32BE(2 + (seed % 2), 8);
    made.receive(bytes);
  }
});
