/**
 * The Node client of Freshet: records, a cache in this process that is never stale for longer than its lease, and changes as
 * they happen.
 *
 * @packageDocumentation
 */

export { Client, VERSION, connect } from "./client.js";
export { Consumers } from "./consumers.js";
export type { Document, Value } from "./document.js";
export {
  Busy,
  Conflict,
  Disconnected,
  FreshetError,
  Invalid,
  NotFound,
  OutcomeUnknown,
  PositionExpired,
  PreconditionFailed,
  ProtocolError,
  Timeout,
  TooLarge,
  Unprocessable,
} from "./errors.js";
export type { ErrorDetails } from "./errors.js";
export type { NearStatistics } from "./near.js";
export { NumberText } from "./number.js";
export { Subscription } from "./subscription.js";
export type * from "./types.js";
