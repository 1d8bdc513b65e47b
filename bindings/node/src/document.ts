/**
 * Documents: JavaScript values to MessagePack and back, by the rules of JSON.stringify and JSON.parse, but without losing
 * digits: an integer that no double holds is a bigint, another number that no double gives back is a {@link NumberText}.
 */

import { DecodeError, Decoder, Encoder, ExtensionCodec } from "@msgpack/msgpack";
import { Invalid, ProtocolError } from "./errors.js";
import { NumberText, integerValue, numberOfText } from "./number.js";

/** What a document is made of. */
export type Value = null | boolean | number | bigint | string | NumberText | Value[] | { [name: string]: Value };

/** A JSON object. */
export type Document = { [name: string]: Value };

const DEPTH_MAX = 128;
/** A change holds documents, and an answer holds changes. */
const BODY_DEPTH_MAX = DEPTH_MAX + 8;
const NUMBER_EXTENSION = 1;
const NUMBER_TEXT_BYTES_MAX = 512;
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;
const UINT64_BYTE = 0xcf;
const INT64_BYTE = 0xd3;

const codec = new ExtensionCodec();
codec.register({
  type: NUMBER_EXTENSION,
  encode: (value) => (value instanceof NumberText ? Buffer.from(value.text, "latin1") : null),
  decode: (bytes) => {
    if (bytes.length > NUMBER_TEXT_BYTES_MAX) {
      throw new DecodeError("a number of too many digits");
    }
    return numberOfText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1"));
  },
});

const encoder = new Encoder({ extensionCodec: codec, useBigInt64: true, ignoreUndefined: true, maxDepth: BODY_DEPTH_MAX });
const decoder = new Decoder({ extensionCodec: codec, useBigInt64: true });

/** The MessagePack of a body; what cannot be sent is refused with its place. */
export function encode(body: unknown): Uint8Array {
  return encoder.encode(sendable(body, "", 0));
}

/** @throws Invalid when it is no plain object. */
export function checkDocument(document: unknown): void {
  const isObject = typeof document === "object" && document !== null && !Array.isArray(document);
  if (!isObject || document instanceof NumberText) {
    throw new Invalid("a document must be an object");
  }
}

/** The value of a body from the server. */
export function decode(body: Uint8Array): unknown {
  try {
    const value = decoder.decode(body);
    // Only these two bytes begin an integer of 64 bits; bodies without them, most of all, need no second look.
    return body.includes(UINT64_BYTE) || body.includes(INT64_BYTE) ? revived(value, 0) : value;
  } catch (error) {
    if (error instanceof DecodeError && error.message.includes(PROTO)) {
      return decodeWithProto(body);
    }
    throw new ProtocolError(`an answer cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/*
 * The value with what the encoder would change or could not say replaced. Most documents have none of that, and come back as
 * they are, uncopied.
 */
function sendable(value: unknown, place: string, depth: number): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "undefined":
      return value;
    case "number":
      return sendableNumber(value, place);
    case "bigint":
      return value >= INT64_MIN && value <= UINT64_MAX ? value : new NumberText(String(value));
    case "object":
      return value === null || value instanceof NumberText ? value : sendableObject(value, place, depth);
    default:
      throw new Invalid(`a ${typeof value} cannot be sent${at(place)}`);
  }
}

/* The encoder makes floats of integers over 32 bits; JSON does not. */
function sendableNumber(value: number, place: string): number | bigint {
  if (!Number.isFinite(value)) {
    throw new Invalid(`${value} is no number that JSON knows${at(place)}`);
  }
  const isWide = Number.isInteger(value) && (value > 0xffffffff || value < -0x80000000);
  if (!isWide || value >= 2 ** 64 || value < -(2 ** 63)) {
    return value;
  }
  return BigInt(value);
}

function sendableObject(value: object, place: string, depth: number): unknown {
  if (depth >= BODY_DEPTH_MAX) {
    throw new Invalid(`nested more than ${DEPTH_MAX} deep, or in itself`);
  }
  const withToJson = value as { toJSON?: (name: string) => unknown };
  if (typeof withToJson.toJSON === "function") {
    return sendable(withToJson.toJSON(""), place, depth + 1);
  }
  if (Array.isArray(value)) {
    return sendableArray(value, place, depth);
  }
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Map || value instanceof Set) {
    throw new Invalid(`a ${value.constructor.name} is nothing that JSON knows${at(place)}`);
  }
  return sendableMembers(value as Record<string, unknown>, place, depth);
}

function sendableArray(values: unknown[], place: string, depth: number): unknown[] {
  let copy: unknown[] | undefined;
  for (let i = 0; i < values.length; i++) {
    const item = sendable(values[i], `${place}[${i}]`, depth + 1);
    if (item !== values[i]) {
      copy ??= values.slice();
      copy[i] = item;
    }
  }
  return copy ?? values;
}

function sendableMembers(members: Record<string, unknown>, place: string, depth: number): object {
  let copy: Record<string, unknown> | undefined;
  for (const name of Object.keys(members)) {
    const item = sendable(members[name], place === "" ? name : `${place}.${name}`, depth + 1);
    if (item !== members[name]) {
      copy ??= copyOf(members);
      setMember(copy, name, item);
    }
  }
  return copy ?? members;
}

function at(place: string): string {
  return place === "" ? "" : ` (at ${place})`;
}

function copyOf(members: Record<string, unknown>): Record<string, unknown> {
  const copy = {};
  for (const name of Object.keys(members)) {
    setMember(copy, name, members[name]);
  }
  return copy;
}

const PROTO = "__proto__";
/** No UTF-8 gives a lone surrogate, so this is nobody's name. */
const PROTO_STAND_IN = "\ud800__proto__";

/* An assignment to `__proto__` would change what the object is; as JSON.parse does, it becomes a member like any other. */
function setMember(members: object, name: string, value: unknown): void {
  if (name === PROTO) {
    Object.defineProperty(members, name, { value, writable: true, enumerable: true, configurable: true });
  } else {
    (members as Record<string, unknown>)[name] = value;
  }
}

/* The decoder refuses `__proto__`, and so anybody's record could keep a whole page from being read. It gets a name to read. */
function decodeWithProto(body: Uint8Array): unknown {
  const careful = new Decoder({
    extensionCodec: codec,
    useBigInt64: true,
    keyDecoder: {
      canBeCached: (size) => size === PROTO.length,
      decode: (bytes, offset, size) => {
        const name = Buffer.from(bytes.buffer, bytes.byteOffset + offset, size).toString("utf8");
        return name === PROTO ? PROTO_STAND_IN : name;
      },
    },
  });
  try {
    return revived(careful.decode(body), 0);
  } catch (error) {
    throw new ProtocolError(`an answer cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/* The value with safe integers as numbers, and `__proto__` under its own name. */
function revived(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") {
    return integerValue(value);
  }
  if (typeof value !== "object" || value === null || value instanceof NumberText) {
    return value;
  }
  if (depth > BODY_DEPTH_MAX) {
    throw new ProtocolError("an answer is nested too deep");
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      value[i] = revived(value[i], depth + 1);
    }
    return value;
  }
  return revivedMembers(value as Record<string, unknown>, depth);
}

function revivedMembers(members: Record<string, unknown>, depth: number): object {
  const names = Object.keys(members);
  if (!names.includes(PROTO_STAND_IN)) {
    for (const name of names) {
      const item = members[name];
      if (typeof item === "bigint" || (typeof item === "object" && item !== null)) {
        members[name] = revived(item, depth + 1);
      }
    }
    return members;
  }
  const copy = {};
  for (const name of names) {
    setMember(copy, name === PROTO_STAND_IN ? PROTO : name, revived(members[name], depth + 1));
  }
  return copy;
}
