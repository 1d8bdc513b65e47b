/** Every example of README.md runs, with a server of its own. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { FRESHET_BIN, RealServer } from "./support.js";

const PACKAGE = dirname(dirname(fileURLToPath(import.meta.url)));
const README = readFileSync(join(PACKAGE, "README.md"), "utf8");
const EXAMPLES = [...README.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1] as string);

describe("README.md", { skip: FRESHET_BIN === "" ? "FRESHET_BIN is not set" : false }, () => {
  test("has examples", () => assert.ok(EXAMPLES.length >= 7));
  for (const [i, example] of EXAMPLES.entries()) {
    const title = example.split("\n").find((line) => line.startsWith("await db.") || line.startsWith("const made")) ?? "";
    test(`example ${i + 1}: ${title}`, async () => {
      const server = await RealServer.start();
      try {
        // Inside of the package, so that "freshet" is this package.
        const folder = join(PACKAGE, "build", "examples");
        mkdirSync(folder, { recursive: true });
        const file = join(folder, `example-${i + 1}.mjs`);
        writeFileSync(file, example.replaceAll("freshet://127.0.0.1:7400", server.url));
        const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 20_000 });
        for (const [, said] of example.matchAll(/\/\/ prints (.*)$/gm)) {
          assert.ok(stdout.includes(said as string), `${JSON.stringify(said)} is not in ${stdout}`);
        }
      } finally {
        await server.stop();
      }
    });
  }
});
