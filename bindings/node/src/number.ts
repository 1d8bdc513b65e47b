/**
 * Numbers that JavaScript would change. Freshet keeps a number digit for digit; a double keeps 15 to 17 of them.
 */

import { Invalid } from "./errors.js";

const JSON_NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const INTEGER = /^(?:0|-?[1-9][0-9]*)$/;

/** `JSON.rawJSON`, which newer engines have. */
type RawJson = { rawJSON?: (text: string) => object };

/**
 * A number as text: `1.50`, `0.1000000000000000055511151231257827`. A record that has one gives it back, and takes it, exactly;
 * in arithmetic it is the nearest double.
 *
 * @example
 * await db.put("products", "42", { title: "Lamp", price: new NumberText("19.90") });
 */
export class NumberText {
  /** The digits, as JSON has them. */
  readonly text: string;

  /** @throws Invalid when the text is no JSON number. */
  constructor(text: string) {
    if (typeof text !== "string" || !JSON_NUMBER.test(text)) {
      throw new Invalid(`this is no JSON number: ${String(text)}`);
    }
    this.text = text;
    Object.freeze(this);
  }

  /** The nearest double, so that `price * 2` works. */
  valueOf(): number {
    return Number(this.text);
  }

  /** The digits. */
  toString(): string {
    return this.text;
  }

  /** Digit for digit where the engine has `JSON.rawJSON` (Node 21 and later), else the nearest double. */
  toJSON(): unknown {
    const raw = (JSON as RawJson).rawJSON;
    return raw === undefined ? Number(this.text) : raw(this.text);
  }
}

/** An integer as a number where that is exact, else as a bigint. */
export function integerValue(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** What a number's text becomes: a number if that prints the same again, a bigint for other integers, else NumberText. */
export function numberOfText(text: string): number | bigint | NumberText {
  if (INTEGER.test(text)) {
    return integerValue(BigInt(text));
  }
  return String(Number(text)) === text ? Number(text) : new NumberText(text);
}
