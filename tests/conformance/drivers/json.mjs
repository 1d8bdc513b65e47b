// JSON with the digits of its numbers: NumberText of bindings/node keeps them.

import { NumberText } from "../../../bindings/node/dist/index.js";

const NUMBERS_AND_STRINGS = /"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*/g;
const NUMBER = "a number of the driver";

export function parse(text) {
  const marked = text.replace(NUMBERS_AND_STRINGS, (token) => (token[0] === '"' ? token : `{"${NUMBER}":"${token}"}`));
  return JSON.parse(marked, (_, value) => (value?.[NUMBER] === undefined ? value : new NumberText(value[NUMBER])));
}

export function dump(value) {
  if (value instanceof NumberText) {
    return value.text;
  }
  if (Array.isArray(value)) {
    return `[${value.map(dump).join(",")}]`;
  }
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${dump(member)}`).join(",")}}`;
  }
  return typeof value === "bigint" || typeof value === "number" ? String(value) : JSON.stringify(value);
}
