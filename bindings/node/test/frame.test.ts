import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../dist/errors.js";
import { ANSWER_BYTES_MAX, FLAG_CHECKED, FrameReader, HEADER_BYTES, Opcode, crc32, crc32ByTable, writeHeader } from "../dist/frame.js";
import type { Frame } from "../dist/frame.js";
import { frame } from "./support.js";

function read(reader: FrameReader): Frame[] {
  const frames: Frame[] = [];
  for (let each = reader.next(); each !== null; each = reader.next()) {
    frames.push(each);
  }
  return frames;
}

test("frames are read wherever the bytes are cut", () => {
  const bytes = Buffer.concat([
    frame(0x81, 200, 7, Buffer.from("first")),
    frame(0xc6, 200, 8),
    frame(0x81, 404, 0xffffffff, Buffer.from("third"), true),
  ]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    for (const second of [cut, Math.min(cut + 1, bytes.length), Math.min(cut + 17, bytes.length)]) {
      const reader = new FrameReader();
      const frames: Frame[] = [];
      for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut, second), bytes.subarray(second)]) {
        reader.push(piece);
        frames.push(...read(reader));
      }
      const shown = frames.map(({ opcode, code, id, body }) => [opcode, code, id, Buffer.from(body).toString()]);
      assert.deepEqual(shown, [[0x81, 200, 7, "first"], [0xc6, 200, 8, ""], [0x81, 404, 0xffffffff, "third"]]);
    }
  }
});

test("a frame of the longest length comes in small pieces", () => {
  const body = Buffer.alloc(ANSWER_BYTES_MAX, 7);
  const bytes = frame(0x81, 200, 1, body, true);
  const reader = new FrameReader();
  let frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += 65_536) {
    reader.push(bytes.subarray(at, at + 65_536));
    frames = frames.concat(read(reader));
  }
  assert.equal(frames.length, 1);
  assert.equal(frames[0]?.body.length, ANSWER_BYTES_MAX);
});

test("a short frame behind a long one that came in pieces does not wait for more", () => {
  const long = frame(0x81, 200, 1, Buffer.alloc(1000));
  const reader = new FrameReader();
  reader.push(long.subarray(0, 500));
  assert.equal(reader.next(), null);
  reader.push(long.subarray(500));
  assert.equal(reader.next()?.id, 1);
  reader.push(frame(0xc6, 200, 2));
  assert.equal(reader.next()?.id, 2);
});

test("a longer one is refused at its header", () => {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(ANSWER_BYTES_MAX + 1);
  const reader = new FrameReader();
  reader.push(header);
  assert.throws(() => reader.next(), ProtocolError);
});

test("a wrong checksum and unknown flags are refused", () => {
  const damaged = frame(0x81, 200, 1, Buffer.from("body"), true);
  damaged[HEADER_BYTES] = (damaged[HEADER_BYTES] as number) ^ 1;
  const flagged = frame(0x81, 200, 1);
  flagged[5] = 4;
  for (const bytes of [damaged, flagged]) {
    const reader = new FrameReader();
    reader.push(bytes);
    assert.throws(() => reader.next(), ProtocolError);
  }
});

test("checksums are those of zlib, with and without its help", () => {
  for (const [text, sum] of [["", 0], ["123456789", 0xcbf43926], ["a", 0xe8b7be43]] as const) {
    assert.equal(crc32(Buffer.from(text)), sum);
    assert.equal(crc32ByTable(Buffer.from(text)), sum);
  }
});

test("headers are written as they are read", () => {
  const body = Buffer.from("x");
  const reader = new FrameReader();
  reader.push(Buffer.concat([writeHeader(Opcode.GET, FLAG_CHECKED, 0xfffffffe, body), body]));
  assert.deepEqual({ ...reader.next(), body: null }, { opcode: 1, flags: 2, code: 0, id: 0xfffffffe, body: null });
});
