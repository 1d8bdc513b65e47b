/*
 * server.js: what people build by hand: a REST API of Node's http before SQLite, without a framework.
 *
 *     node server.js --data FOLDER [--port N] [--synchronous FULL|NORMAL|OFF] [--modules FOLDER]
 *
 * GET, PUT and DELETE of /products/ID. The document is kept as its text. Prints one line of JSON when it is ready.
 * SQLite is Node's own where it has one without being asked for (22.13 and later), else the package better-sqlite3
 * of the folder --modules.
 */
"use strict";

const http = require("node:http");
const path = require("node:path");
const { parseArgs } = require("node:util");

const PREFIX = "/products/";
const BODY_BYTES_MAX = 1 << 20;

function openDatabase(file, modules) {
    const own = process.getBuiltinModule?.("node:sqlite");
    if (own) {
        return new own.DatabaseSync(file);
    }
    const Database = require(require.resolve("better-sqlite3", { paths: [modules] }));
    return new Database(file);
}

function prepare({ data, modules, synchronous }) {
    const database = openDatabase(path.join(data, "records.db"), modules);
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous};
        CREATE TABLE IF NOT EXISTS products (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID`);
    return {
        get: database.prepare("SELECT document FROM products WHERE id = ?"),
        put: database.prepare("INSERT OR REPLACE INTO products (id, document) VALUES (?, ?)"),
        delete: database.prepare("DELETE FROM products WHERE id = ?"),
    };
}

function answer(response, status, text) {
    response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
    response.end(text);
}

/* A document is parsed before it is stored, as every API does that checks its input. */
function put(statements, id, request, response) {
    const chunks = [];
    let bytes = 0;
    request.on("data", (chunk) => {
        bytes += chunk.length;
        if (bytes <= BODY_BYTES_MAX) {
            chunks.push(chunk);
        }
    });
    request.on("end", () => {
        if (bytes > BODY_BYTES_MAX) {
            answer(response, 413, '{"error":"too large"}');
            return;
        }
        let text;
        try {
            text = JSON.stringify(JSON.parse(Buffer.concat(chunks).toString("utf8")));
        } catch {
            answer(response, 400, '{"error":"not JSON"}');
            return;
        }
        statements.put.run(id, text);
        answer(response, 200, text);
    });
}

function handle(statements, request, response) {
    if (!request.url.startsWith(PREFIX)) {
        answer(response, 404, '{"error":"not found"}');
        return;
    }
    const id = request.url.slice(PREFIX.length);
    switch (request.method) {
    case "GET": {
        const row = statements.get.get(id);
        answer(response, row ? 200 : 404, row ? row.document : '{"error":"not found"}');
        break;
    }
    case "PUT":
        put(statements, id, request, response);
        break;
    case "DELETE":
        answer(response, statements.delete.run(id).changes > 0 ? 200 : 404, "{}");
        break;
    default:
        answer(response, 405, '{"error":"GET, PUT or DELETE"}');
    }
}

function main() {
    const { values } = parseArgs({
        options: {
            data: { type: "string" },
            port: { type: "string", default: "0" },
            synchronous: { type: "string", default: "FULL" },
            modules: { type: "string", default: __dirname },
        },
    });
    if (!values.data || !["FULL", "NORMAL", "OFF"].includes(values.synchronous)) {
        console.error("usage: server.js --data FOLDER [--port N] [--synchronous FULL|NORMAL|OFF] [--modules FOLDER]");
        process.exit(2);
    }
    const statements = prepare(values);
    const server = http.createServer((request, response) => handle(statements, request, response));
    server.keepAliveTimeout = 0;
    server.requestTimeout = 0;
    server.listen(Number(values.port), "127.0.0.1", 4096, () => {
        console.log(JSON.stringify({ event: "ready", http: `127.0.0.1:${server.address().port}` }));
    });
    process.on("SIGTERM", () => process.exit(0));
}

main();
