/** The bodies of data requests, and what their answers say. */

import { checkDocument, decode, encode } from "./document.js";
import { count } from "./core.js";
import type { Document, Value } from "./document.js";
import { Invalid, ProtocolError, errorOf } from "./errors.js";
import type { FreshetError } from "./errors.js";
import { Opcode } from "./frame.js";
import type { CreateOptions, DeleteOptions, Found, GetOptions, ListFilter, ListOptions, Operation, PatchOptions } from "./types.js";
import type { PutOptions, Written } from "./types.js";

/** A state of a record, or of its absence. */
export interface State {
  epoch: number;
  sequence: number;
  version: number;
  record: Document | null;
}

/** A write's answer with what the near cache wants to know. */
export interface Result extends Written {
  epoch: number;
  sequence: number;
}

type Members = { [name: string]: Value };

/** Without options the element is left out. */
function withOptions(parts: unknown[], options: Members): unknown[] {
  return Object.keys(options).length === 0 ? parts : [...parts, options];
}

function checkNames(...names: unknown[]): void {
  for (const name of names) {
    if (typeof name !== "string" || name === "") {
      throw new Invalid(`collections and ids are texts that are not empty, not ${String(name)}`);
    }
  }
}

/** Of a GET. */
export function getParts(collection: string, id: string, options: GetOptions): unknown[] {
  checkNames(collection, id);
  const members: Members = {};
  if (options.minPosition !== undefined) {
    members["min"] = options.minPosition;
  }
  if (options.fresh === true) {
    members["fresh"] = true;
  }
  return withOptions([collection, id], members);
}

/** Of a PUT. */
export function putParts(collection: string, id: string, document: object, options: PutOptions): unknown[] {
  checkNames(collection, id);
  checkDocument(document);
  const members = matching(options);
  if (options.ifAbsent === true) {
    members["if_none_match"] = "*";
  }
  return withOptions([collection, id, document], members);
}

/** Of a PATCH. */
export function patchParts(collection: string, id: string, patch: object, options: PatchOptions): unknown[] {
  checkNames(collection, id);
  checkDocument(patch);
  return withOptions([collection, id, patch], matching(options));
}

/** Of a DELETE. */
export function deleteParts(collection: string, id: string, options: DeleteOptions): unknown[] {
  checkNames(collection, id);
  return withOptions([collection, id], matching(options));
}

/** Of a CREATE. */
export function createParts(collection: string, document: object, options: CreateOptions): unknown[] {
  checkNames(collection);
  checkDocument(document);
  return withOptions([collection, document], options.idempotencyKey === undefined ? {} : { key: options.idempotencyKey });
}

/** Of a LIST. */
export function listBody(collection: string, filter: ListFilter, options: ListOptions, cursor: unknown): Uint8Array {
  checkNames(collection);
  const members: Members = {};
  const fields = Object.keys(filter);
  if (fields.length > 1) {
    throw new Invalid(`a list is filtered by one index field, not by ${fields.join(" and ")}`);
  }
  const field = fields[0];
  if (field !== undefined) {
    members["index"] = field;
    members["value"] = String(filter[field]);
  }
  if (options.pageSize !== undefined) {
    members["limit"] = options.pageSize;
  }
  if (options.minPosition !== undefined) {
    members["min"] = options.minPosition;
  }
  if (cursor !== null) {
    members["cursor"] = cursor as Value;
  }
  return encode(withOptions([collection], members));
}

function matching(options: { ifMatch?: string }): Members {
  return options.ifMatch === undefined ? {} : { if_match: options.ifMatch };
}

/** Of an operation of a batch: opcode, flags, request. */
export function operationParts(operation: Operation): unknown[] {
  const { collection } = operation;
  switch (operation.op) {
    case "get":
      return [Opcode.GET, 0, getParts(collection, operation.id, operation.options ?? {})];
    case "put":
      return [Opcode.PUT, 0, putParts(collection, operation.id, operation.document, operation.options ?? {})];
    case "patch":
      return [Opcode.PATCH, 0, patchParts(collection, operation.id, operation.patch, operation.options ?? {})];
    case "delete":
      return [Opcode.DELETE, 0, deleteParts(collection, operation.id, operation.options ?? {})];
    case "create":
      return [Opcode.CREATE, 0, createParts(collection, operation.document, operation.options ?? {})];
    default:
      throw new Invalid(`this is no operation of a batch: ${String((operation as { op: unknown }).op)}`);
  }
}

/** The array that an answer is. */
export function arrayOf(body: Uint8Array, least: number): unknown[] {
  return checkArray(decode(body), least);
}

/** @throws ProtocolError when it is no array of so many elements. */
export function checkArray(value: unknown, least: number): unknown[] {
  if (!Array.isArray(value) || value.length < least) {
    throw new ProtocolError(`an answer is no array of ${least} elements`);
  }
  return value;
}

/** What LIST answers. */
export function pageOf(answer: { body: Uint8Array }): { cursor: unknown; records: Document[] } {
  const [cursor, records] = arrayOf(answer.body, 2);
  return { cursor, records: checkArray(records, 0).map(recordOf) };
}

function recordOf(value: unknown): Document {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError("a record is no map");
  }
  return value as Document;
}

/** What GET answers, and each of MGET. */
export function stateOf(answer: unknown): State {
  const [epoch, sequence, version, record] = checkArray(answer, 4);
  const state = { epoch: count(epoch), sequence: count(sequence), version: count(version) };
  return { ...state, record: record === null ? null : recordOf(record) };
}

/** A state as it is told to users. */
export function foundOf<T>(state: State, near: boolean): Found<T> | null {
  if (state.record === null) {
    return null;
  }
  const { epoch, sequence, version } = state;
  const etag = `"0-${epoch.toString(16)}-${sequence.toString(16)}"`;
  return { record: state.record as T, version, etag, epoch, sequence, near };
}

/** What a write answers. */
export function resultOf(code: number, answer: unknown): Result {
  const [epoch, sequence, version, id, etag, position, changed] = checkArray(answer, 7);
  const isEtag = etag === null || typeof etag === "string";
  if (typeof id !== "string" || !isEtag || typeof position !== "string" || typeof changed !== "boolean") {
    throw new ProtocolError("the answer to a write cannot be read");
  }
  const created = code === 201;
  return { epoch: count(epoch), sequence: count(sequence), version: count(version), id, etag, position, changed, created };
}

/** Only what users are shown. */
export function writtenOf({ id, version, etag, position, changed, created }: Result): Written {
  return { id, version, etag, position, changed, created };
}

/** The error that a failed operation of a batch is. */
export function batchErrorOf(code: number, answer: unknown): FreshetError {
  const [type, detail, retryAfterMs] = checkArray(answer, 2);
  return errorOf(code, String(detail), { type: String(type), retryAfterMs: Number(retryAfterMs ?? 0) });
}
