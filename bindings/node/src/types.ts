/** What the calls take and hand out. */

import type { Document } from "./document.js";

/** How to connect. Times are in milliseconds. */
export interface ConnectOptions {
  /** Memory for the near cache, about; 0 (default): none. */
  nearCacheBytes?: number;
  /** How long after a sign of life the near cache may answer without another; default 2000. No read is staler than that. */
  nearCacheLeaseMs?: number;
  /** Credentials; without, anonymous. */
  token?: string;
  /** For the first connection, and for each later one; default 5000. */
  connectTimeoutMs?: number;
  /** For each call, the wait for a connection included; default 30000. */
  timeoutMs?: number;
  /** Whether a lost connection is made again; default true. */
  reconnect?: boolean;
  /** Checksums in both directions; default false. */
  checked?: boolean;
  /** What this program calls itself in the server's log. */
  clientName?: string;
}

/** Of every call. */
export interface CallOptions {
  /** Instead of the client's `timeoutMs`. */
  timeoutMs?: number;
}

export interface GetOptions extends CallOptions {
  /** Past every cache; the server's is refreshed. */
  fresh?: boolean;
  /** A position, as of a write: the read waits on the server until it is published, at most 1 s, then {@link PreconditionFailed}. */
  minPosition?: string;
}

export interface PutOptions extends CallOptions {
  /** An etag, or `"*"` for any: only if the record is still that one, else {@link PreconditionFailed}. */
  ifMatch?: string;
  /** Only if there is no such record, else {@link PreconditionFailed}. */
  ifAbsent?: boolean;
}

export interface PatchOptions extends CallOptions {
  /** An etag, or `"*"` for any: only if the record is still that one, else {@link PreconditionFailed}. */
  ifMatch?: string;
}

export interface DeleteOptions extends CallOptions {
  /** An etag, or `"*"` for any: only if the record is still that one, else {@link PreconditionFailed}. */
  ifMatch?: string;
}

export interface CreateOptions extends CallOptions {
  /** Whoever creates again with this key, within a day, gets the first answer and makes no second record. At most 255 bytes. */
  idempotencyKey?: string;
}

export interface ListOptions extends CallOptions {
  /** Records asked for at a time, 1 to 1000; default 1000. */
  pageSize?: number;
  /** As of {@link GetOptions}. */
  minPosition?: string;
}

/** One declared index field and its value; an empty object, or an empty value: all records. */
export type ListFilter = { readonly [field: string]: string | number | boolean | bigint };

/** What a write did. */
export interface Written {
  /** Of the record; of `create` the one that the server made. */
  readonly id: string;
  /** Counts from 1 in one life of a record; 0 after a delete. */
  readonly version: number;
  /** For `ifMatch`; null after a delete. */
  readonly etag: string | null;
  /** Of this write in the journal: for `minPosition`, and for `start` of a subscription. */
  readonly position: string;
  /** False when the record was equal already, or was not there to be deleted: nothing was written. */
  readonly changed: boolean;
  /** There was no such record before. */
  readonly created: boolean;
}

/** A record with what is known about it. */
export interface Found<T = Document> {
  /** The record, its `id` first. */
  readonly record: T;
  readonly version: number;
  /** For `ifMatch`. */
  readonly etag: string;
  /** A later state of the record has a greater pair of epoch and sequence, compared in this order. */
  readonly epoch: number;
  readonly sequence: number;
  /** It came out of the near cache. */
  readonly near: boolean;
}

/** An operation of a batch. */
export type Operation =
  | { op: "get"; collection: string; id: string; options?: Omit<GetOptions, "timeoutMs"> }
  | { op: "put"; collection: string; id: string; document: object; options?: Omit<PutOptions, "timeoutMs"> }
  | { op: "patch"; collection: string; id: string; patch: object; options?: Omit<PatchOptions, "timeoutMs"> }
  | { op: "delete"; collection: string; id: string; options?: Omit<DeleteOptions, "timeoutMs"> }
  | { op: "create"; collection: string; document: object; options?: Omit<CreateOptions, "timeoutMs"> };

/** What an operation of a batch gives when it succeeds: of `get` the record or null, else what was written. */
export type OperationResult<O extends Operation = Operation> = O extends { op: "get" } ? Document | null : Written;

/**
 * Where a subscription begins: with what comes from now on (`"latest"`), with the oldest change that there is (`"earliest"`),
 * with the records as they are and then their changes (`"snapshot"`), at a time (a Date, or its RFC 3339 text), or behind a
 * position.
 */
export type Start = "latest" | "earliest" | "snapshot" | Date | (string & {});

/** What of a change is shown: both images, none, or one. */
export type View = "both" | "keys" | "new" | "old";

export interface SubscribeOptions {
  /** Without: all collections, and users' own events. */
  collection?: string;
  /** Which changes: an EventBridge pattern, as an object or as JSON text. */
  pattern?: object | string;
  /** Default `"latest"`. */
  start?: Start;
  /** Default `"both"`. */
  view?: View;
  /** Tell also when a record no longer matches the pattern; see `transition`. */
  enterLeave?: boolean;
  /** A consumer whose position the server keeps. Its collection, pattern and start are its own. */
  consumer?: string;
  /** Of a consumer that is a group: who this is. Each member gets its share. */
  member?: string;
  /** Changes that may be on their way or waiting here, at most; default 4096. Large changes make it less. */
  credit?: number;
  /** Also hand out PROGRESS and CAUGHT_UP; default false. */
  progress?: boolean;
  /** A PROGRESS mark at least so often while nothing matches; default 5000, at least 50. */
  progressMs?: number;
  /** Ends the subscription; its iteration throws the signal's reason. */
  signal?: AbortSignal;
}

/**
 * `INSERT`, `MODIFY` and `REMOVE` are changes of records, `EVENT` is a user's own event, `SNAPSHOT` a record as it is, `SYNCED`
 * says that the snapshot is whole; and, only if asked for, `PROGRESS` that nothing matched up to here, `CAUGHT_UP` that nothing
 * more is there now.
 */
export type EventName = "INSERT" | "MODIFY" | "REMOVE" | "EVENT" | "SNAPSHOT" | "SYNCED" | "PROGRESS" | "CAUGHT_UP";

/** A change, or a mark in the stream of changes. */
export interface Change<T = Document> {
  readonly eventName: EventName;
  /** From where `subscribe({ start })` goes on after this. Keep it with what you made of the change. */
  readonly position: string;
  /** Null of marks and of users' events, as are all of the following. */
  readonly collection: string | null;
  readonly id: string | null;
  /** Rises strictly; null of marks. */
  readonly sequence: number | null;
  readonly version: number | null;
  /** The record after the change; null after REMOVE, or when the view leaves it out. */
  readonly newImage: T | null;
  /** The record before it; null of INSERT, or when the view leaves it out. */
  readonly oldImage: T | null;
  /** Top-level names that a MODIFY added, removed or altered. */
  readonly changed: readonly string[];
  /** With `enterLeave`: the record began to match the pattern, or ceased to. */
  readonly transition: "enter" | "leave" | null;
  /** When it was committed, by the server's clock. */
  readonly time: Date | null;
  /** Identifies the change. */
  readonly eventId: string | null;
  /** All of it, as `GET /changes` shows it; of a user's event with `source`, `detail-type` and `detail`. */
  readonly raw: { readonly [name: string]: unknown };
}

export interface ConsumerOptions extends CallOptions {
  /** Without: all. */
  collection?: string;
  pattern?: object | string;
  /** Its members share the changes, the order per record kept. */
  group?: boolean;
  /** Of a new one: any but `"snapshot"`; default `"latest"`. */
  start?: Start;
}

/** A named consumer, and how far behind it is. */
export interface ConsumerInfo {
  readonly name: string;
  readonly collection: string | null;
  readonly pattern: object | null;
  readonly group: boolean;
  /** What is acknowledged. */
  readonly position: string;
  readonly members: number;
  readonly lagEvents: number;
  readonly lagBytes: number;
  readonly lagSeconds: number;
}

/** What the server said of itself at the beginning of the connection. */
export interface ServerInfo {
  /** `"freshet/0.1.0"`. */
  readonly server: string;
  /** Which store this is, in hexadecimal. */
  readonly store: string;
  readonly features: readonly string[];
  /** The newest published change at that moment. */
  readonly position: string;
}
