/**
 * What can go wrong. Errors of the server carry the code and the words that REST's problem has; each class is one thing a
 * caller may want to tell apart.
 */

/** What an error knows besides its words. */
export interface ErrorDetails {
  /** As HTTP has it; 0 for errors that the client itself found. */
  code?: number;
  /** `"position-expired"`, `"outcome-unknown"`, `"not-accepted"`, `"disk-full"`; empty: none. */
  type?: string;
  retryAfterMs?: number;
  oldest?: string;
  newest?: string;
  cause?: unknown;
}

/** Every error of this package is one. */
export class FreshetError extends Error {
  /** What REST would answer: 404, 412, …; 0 when no server said it. */
  readonly code: number;
  /** The server's name for the reason, or empty. */
  readonly type: string;
  /** What was wrong and what to do, in plain words. */
  readonly detail: string;

  constructor(detail: string, details: ErrorDetails = {}) {
    super(detail, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = details.code ?? 0;
    this.type = details.type ?? "";
    this.detail = detail;
  }
}

/** 404: there is no such record, collection or consumer. `get` answers null instead. */
export class NotFound extends FreshetError {}

/** 409: it does not fit the state of things, as a consumer that is a group already. */
export class Conflict extends FreshetError {}

/** 412: `ifMatch` or `ifAbsent` does not hold, or a position was not published in time. */
export class PreconditionFailed extends FreshetError {}

/** 400: the request is wrong; also found by the client itself, before anything is sent. */
export class Invalid extends FreshetError {}

/** 413: the document, or what a patch makes of it, is too large. */
export class TooLarge extends FreshetError {}

/** 422: well formed, but against the collection's rules. */
export class Unprocessable extends FreshetError {}

/** 410: what was to be read on from here is gone, or was never of this store. */
export class PositionExpired extends FreshetError {
  /** The oldest position that can be read from. */
  readonly oldest: string;
  /** The newest one. */
  readonly newest: string;

  constructor(detail: string, details: ErrorDetails = {}) {
    super(detail, details);
    this.oldest = details.oldest ?? "";
    this.newest = details.newest ?? "";
  }
}

/** 429, 503: not now. Nothing was written. */
export class Busy extends FreshetError {
  /** When to try again; 0: the server does not know. */
  readonly retryAfterMs: number;

  constructor(detail: string, details: ErrorDetails = {}) {
    super(detail, details);
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}

/** A write was sent, and nobody can say whether it was carried out: read, then decide. */
export class OutcomeUnknown extends FreshetError {}

/** There is no connection. A write that ends so was never sent. */
export class Disconnected extends FreshetError {}

/** No answer in time. */
export class Timeout extends FreshetError {}

/** The other side does not speak the protocol, or bytes were damaged on the way. */
export class ProtocolError extends FreshetError {}

type ErrorClass = new (detail: string, details?: ErrorDetails) => FreshetError;

const CLASS_OF_CODE: ReadonlyMap<number, ErrorClass> = new Map<number, ErrorClass>([
  [400, Invalid],
  [404, NotFound],
  [409, Conflict],
  [410, PositionExpired],
  [412, PreconditionFailed],
  [413, TooLarge],
  [422, Unprocessable],
  [429, Busy],
  [503, Busy],
]);

/** The error that the server's code and type stand for. */
export function errorOf(code: number, detail: string, details: ErrorDetails = {}): FreshetError {
  const isUnknown = details.type?.endsWith("outcome-unknown") ?? false;
  const errorClass = isUnknown ? OutcomeUnknown : (CLASS_OF_CODE.get(code) ?? FreshetError);
  return new errorClass(detail || `the server answered ${code}`, { ...details, code });
}
