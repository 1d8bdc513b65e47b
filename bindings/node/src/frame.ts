/**
 * Frames: 16 bytes of header, then the body. PROTOCOL.md is the reference.
 *
 *     0        4        5        6        8        12       16
 *     | length | opcode | flags  | code   | id     | check  | body …
 */

import * as zlib from "node:zlib";
import { ProtocolError } from "./errors.js";

export const PROTOCOL_VERSION = 1;
export const HEADER_BYTES = 16;
/** The longest body that a server sends. */
export const ANSWER_BYTES_MAX = 16 << 20;
/** The longest body that a server takes, if WELCOME does not say less. */
export const REQUEST_BYTES_MAX = 8 << 20;
export const ID_MAX = 0xffffffff;

/** What a frame is. */
export const Opcode = {
  GET: 0x01,
  MGET: 0x02,
  PUT: 0x03,
  PATCH: 0x04,
  DELETE: 0x05,
  CREATE: 0x06,
  LIST: 0x07,
  BATCH: 0x08,
  CHANGES: 0x20,
  INVALIDATE: 0x21,
  HELLO: 0x40,
  SUBSCRIBE: 0x41,
  CREDIT: 0x42,
  ACK: 0x43,
  CONSUMER: 0x44,
  STATS: 0x45,
  UNSUBSCRIBE: 0x46,
  PING: 0x47,
  GOAWAY: 0x48,
  ERROR: 0xff,
} as const;

/** The answer to a request has the request's opcode with this bit. */
export const ANSWER = 0x80;

export const FLAG_JSON = 0x01;
export const FLAG_CHECKED = 0x02;

/** A frame as it came; the body lies in the bytes that were received, and is good until they are reused by nobody: copy to keep. */
export interface Frame {
  opcode: number;
  flags: number;
  code: number;
  id: number;
  body: Uint8Array;
}

/** CRC-32 (ISO-HDLC) of a body. */
export const crc32: (bytes: Uint8Array) => number =
  (zlib as { crc32?: (bytes: Uint8Array) => number }).crc32 ?? crc32ByTable;

const CRC32_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) {
    value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return value >>> 0;
});

/** For Node before 20.15, whose zlib keeps it to itself. */
export function crc32ByTable(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc = (crc >>> 8) ^ (CRC32_TABLE[(crc ^ byte) & 0xff] as number);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** The header of a frame that is sent. */
export function writeHeader(opcode: number, flags: number, id: number, body: Uint8Array): Uint8Array {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(body.length, 0);
  header[4] = opcode;
  header[5] = flags;
  header.writeUInt16BE(0, 6);
  header.writeUInt32BE(id, 8);
  header.writeUInt32BE(flags & FLAG_CHECKED ? crc32(body) : 0, 12);
  return header;
}

/** Cuts a stream of bytes into frames, wherever the stream was cut before. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #size = 0;
  /** Bytes that must be there before looking again is of use. */
  #needed = HEADER_BYTES;

  /** Takes the next bytes; they belong to the reader from here on. */
  push(chunk: Uint8Array): void {
    if (chunk.length > 0) {
      this.#chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      this.#size += chunk.length;
    }
  }

  /** The next whole frame, or null until more bytes come. @throws ProtocolError after which the stream is of no use. */
  next(): Frame | null {
    if (this.#size < this.#needed) {
      return null;
    }
    const bytes = this.#joined();
    const length = bytes.readUInt32BE(0);
    if (length > ANSWER_BYTES_MAX) {
      throw new ProtocolError(`a frame of ${length} bytes; no server sends more than ${ANSWER_BYTES_MAX}`);
    }
    const end = HEADER_BYTES + length;
    if (bytes.length < end) {
      this.#needed = end;
      return null;
    }
    this.#chunks[0] = bytes.subarray(end);
    this.#size -= end;
    this.#needed = HEADER_BYTES;
    return frameOf(bytes, end);
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) {
      this.#chunks = [Buffer.concat(this.#chunks, this.#size)];
    }
    return this.#chunks[0] as Buffer;
  }
}

function frameOf(bytes: Buffer, end: number): Frame {
  const flags = bytes[5] as number;
  const body = bytes.subarray(HEADER_BYTES, end);
  if (flags & ~(FLAG_JSON | FLAG_CHECKED)) {
    throw new ProtocolError(`a frame with unknown flags ${flags}`);
  }
  if (flags & FLAG_CHECKED && crc32(body) !== bytes.readUInt32BE(12)) {
    throw new ProtocolError("the checksum of a frame does not fit its body");
  }
  return { opcode: bytes[4] as number, flags, code: bytes.readUInt16BE(6), id: bytes.readUInt32BE(8), body };
}
