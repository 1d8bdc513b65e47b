import assert from "node:assert/strict";
import { test } from "node:test";
import { encode as pack } from "@msgpack/msgpack";
import { decode, encode } from "../dist/document.js";
import { Invalid, ProtocolError } from "../dist/errors.js";
import { NumberText } from "../dist/number.js";

const hex = (value: unknown): string => Buffer.from(encode(value)).toString("hex");
const back = (value: unknown): unknown => decode(encode(value));

test("integers are sent as integers, however wide", () => {
  assert.equal(hex(42), "2a");
  assert.equal(hex(2 ** 32), "cf0000000100000000");
  assert.equal(hex(-(2 ** 31) - 1), "d3ffffffff7fffffff");
  assert.equal(hex(Number.MAX_SAFE_INTEGER), "cf001fffffffffffff");
  assert.equal(hex(2 ** 53), "cf0020000000000000");
  assert.equal(hex(2n ** 64n - 1n), "cfffffffffffffffff");
  assert.equal(hex(-(2n ** 63n)), "d38000000000000000");
  assert.equal(hex(1e300).slice(0, 2), "cb");
});

test("integers come back as numbers when they are safe, else as bigints, whatever their length", () => {
  for (const value of [0, -1, 2 ** 32, -(2 ** 40), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
    assert.equal(back(value), value);
    assert.equal(back(BigInt(value)), value);
  }
  for (const value of [2n ** 53n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 63n) - 1n, 10n ** 37n]) {
    assert.equal(back(value), value);
  }
});

test("numbers of more digits than a double has are text, both ways", () => {
  for (const text of ["1.50", "1E2", "-0", "0.10000000000000000000000000000000000001", "1.0"]) {
    const value = back(new NumberText(text));
    assert.ok(value instanceof NumberText, text);
    assert.equal(value.text, text);
  }
  assert.equal(hex(new NumberText("1.50")), "d601312e3530");
  assert.equal(back(new NumberText("29.99")), 29.99);
  assert.equal(back(new NumberText("42")), 42);
});

test("a NumberText is a number in arithmetic and digits in text", () => {
  const price = new NumberText("19.90");
  assert.equal(Number(price) * 2, 39.8);
  assert.equal(`${price}`, "19.90");
  assert.equal(price.toString(), "19.90");
  const json = JSON.stringify({ price });
  assert.ok(json === '{"price":19.9}' || json === '{"price":19.90}');
  for (const text of ["", "1.", ".5", "01", "+1", "1e", "NaN", "0x10", "1 "]) {
    assert.throws(() => new NumberText(text), Invalid, text);
  }
});

test("what JSON cannot say is refused with its place", () => {
  const refused: [unknown, RegExp][] = [
    [{ a: NaN }, /NaN.*\(at a\)/],
    [{ a: [1, { b: -Infinity }] }, /at a\[1\]\.b/],
    [{ a: () => 1 }, /function/],
    [{ a: Symbol("x") }, /symbol/],
    [{ a: new Map() }, /Map/],
    [{ a: new Uint8Array(1) }, /Uint8Array/],
  ];
  for (const [value, words] of refused) {
    assert.throws(() => encode(value), (error: Error) => error instanceof Invalid && words.test(error.message));
  }
  const loop: { self?: unknown } = {};
  loop.self = loop;
  assert.throws(() => encode(loop), Invalid);
});

test("undefined, dates and toJSON are as in JSON.stringify, and nothing of the caller's is changed", () => {
  const document = Object.freeze({ a: undefined, at: new Date(0), list: Object.freeze([undefined, 2 ** 40]), own: { toJSON: () => "mine" } });
  assert.deepEqual(back(document), { at: "1970-01-01T00:00:00.000Z", list: [null, 2 ** 40], own: "mine" });
});

test("a member called __proto__ is a member, both ways, and everything else of the body is whole", () => {
  const document = JSON.parse('{"id":"1","__proto__":{"isAdmin":true},"nested":[{"__proto__":1,"wide":1099511627776}]}') as Record<string, unknown>;
  const value = decode(encode([1, document, 2n ** 60n])) as [number, Record<string, unknown>, bigint];
  assert.deepEqual(Object.keys(value[1]), ["id", "__proto__", "nested"]);
  assert.deepEqual(Object.getOwnPropertyDescriptor(value[1], "__proto__")?.value, { isAdmin: true });
  assert.equal((value[1] as { isAdmin?: boolean }).isAdmin, undefined);
  assert.equal(JSON.stringify(value[1]), JSON.stringify(document));
  assert.equal(value[2], 2n ** 60n);
});

test("documents are as deep as the server takes them", () => {
  let deep: unknown = 1;
  for (let i = 0; i < 127; i++) {
    deep = [deep];
  }
  assert.deepEqual(back({ deep }), { deep });
});

test("bodies that end too soon, or go on, or hold what cannot be, are ProtocolErrors", () => {
  const whole = encode(["text", { a: [1, 2n ** 40n, 1.5] }, new NumberText("1.50")]);
  for (let size = 0; size < whole.length; size++) {
    assert.throws(() => decode(whole.subarray(0, size)), ProtocolError);
  }
  assert.throws(() => decode(Buffer.concat([whole, whole])), ProtocolError);
  for (const bytes of ["c1", "d50131", "ddffffffff", "dfffffffff", "dbffffffff", "d60141424344", "c9ffffffff01", "81c0c0"]) {
    assert.throws(() => decode(Buffer.from(bytes, "hex")), ProtocolError, bytes);
  }
  assert.throws(() => decode(Buffer.alloc(100_000, 0x91)), ProtocolError);
});

test("other encodings of the same values are read", () => {
  assert.deepEqual(decode(pack({ a: 1.5, b: [true, null, "x".repeat(300)] })), { a: 1.5, b: [true, null, "x".repeat(300)] });
  assert.equal(decode(Buffer.from("cf0000000000000001", "hex")), 1);
  assert.equal(decode(Buffer.from("ca3fc00000", "hex")), 1.5);
});
