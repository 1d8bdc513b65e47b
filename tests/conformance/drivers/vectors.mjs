// Reads the vectors of what servers send with the frame reader and the decoder of bindings/node, cut in two at every byte.
// Exit status 0: all is as the vectors say.

import { readFileSync } from "node:fs";

import { decode } from "../../../bindings/node/dist/document.js";
import { FrameReader } from "../../../bindings/node/dist/frame.js";
import { dump } from "./json.mjs";

const FIELDS = ["opcode", "flags", "code", "id"];

/** The frame that comes out when the bytes come in two pieces. */
function frameOf(bytes, cut) {
  const reader = new FrameReader();
  reader.push(bytes.subarray(0, cut));
  if (cut < bytes.length && reader.next() !== null) {
    throw new Error(`a frame out of ${cut} bytes`);
  }
  reader.push(bytes.subarray(cut));
  return reader.next();
}

function check(vector) {
  const bytes = Buffer.from(vector.hex, "hex");
  for (let cut = 0; cut <= bytes.length; cut++) {
    const frame = frameOf(bytes, cut);
    const wrong = FIELDS.find((field) => field in frame && frame[field] !== vector[field]);
    if (wrong !== undefined) {
      throw new Error(`${wrong}: ${frame[wrong]} instead of ${vector[wrong]}`);
    }
  }
  if ("json" in vector) {
    const json = dump(decode(bytes.subarray(16)));
    if (json !== vector.json) {
      throw new Error(`${json} instead of ${vector.json}`);
    }
  }
}

let failures = 0;
for (const path of process.argv.slice(2)) {
  for (const vector of JSON.parse(readFileSync(path, "utf8"))) {
    if (vector.from !== "server") {
      continue;
    }
    try {
      check(vector);
    } catch (error) {
      console.log(`${vector.name}: ${error.message}`);
      failures++;
    }
  }
}
process.exit(failures === 0 ? 0 : 1);
