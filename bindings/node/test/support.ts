/** What the tests share: a server that says what it is told to, and the real one. */

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { encodeControl } from "../dist/core.js";
import { encode } from "../dist/document.js";
import { ANSWER, FLAG_CHECKED, FrameReader, HEADER_BYTES, Opcode, crc32 } from "../dist/frame.js";
import type { Frame } from "../dist/frame.js";
import { ErrorSchema, SubscribedSchema, WelcomeSchema } from "../dist/generated/freshet_pb.js";

/** What is waited for comes at once; this is how long a test waits before it fails. */
const DEADLINE_MS = 10_000;

/** A frame as a server sends it. */
export function frame(opcode: number, code: number, id: number, body: Uint8Array = new Uint8Array(0), isChecked = false): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes[4] = opcode;
  bytes[5] = isChecked ? FLAG_CHECKED : 0;
  bytes.writeUInt16BE(code, 6);
  bytes.writeUInt32BE(id, 8);
  bytes.writeUInt32BE(isChecked ? crc32(body) : 0, 12);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

export function welcome(id: number, features: string[] = []): Buffer {
  const message = { version: 1, features, server: "fake/1", frameBytesMax: 8 << 20, requestsMax: 16, subscriptionsMax: 4, position: "p0" };
  return frame(Opcode.HELLO | ANSWER, 200, id, encodeControl(WelcomeSchema, message));
}

export function error(id: number, status: number, more: { type?: string; detail?: string; retryAfterMs?: number; oldest?: string } = {}): Buffer {
  return frame(Opcode.ERROR, status, id, encodeControl(ErrorSchema, { status, ...more }));
}

export function subscribed(id: number, position: string): Buffer {
  return frame(Opcode.SUBSCRIBE | ANSWER, 200, id, encodeControl(SubscribedSchema, { position }));
}

export function data(opcode: number, code: number, id: number, body: unknown): Buffer {
  return frame(opcode | ANSWER, code, id, encode(body));
}

/** What GET answers. */
export function found(id: number, sequence: number, record: object | null): Buffer {
  return data(Opcode.GET, record === null ? 404 : 200, id, [1, sequence, record === null ? 0 : 1, record]);
}

export function written(opcode: number, code: number, id: number, sequence: number, key: string): Buffer {
  return data(opcode, code, id, [1, sequence, 1, key, `"0-1-${sequence.toString(16)}"`, `p${sequence}`, true]);
}

export function changes(id: number, items: [kind: number, position: string, change: object | null][]): Buffer {
  return frame(Opcode.CHANGES, 0, id, encode(items));
}

export function invalidate(id: number, position: string, live: boolean, keys: [number, number, string, string][]): Buffer {
  return frame(Opcode.INVALIDATE, 0, id, encode([position, live, keys]));
}

/** A change as the server writes it. */
export function change(sequence: number, id: string, name = "MODIFY"): Record<string, unknown> {
  return {
    eventID: `e${sequence}`,
    eventName: name,
    eventSource: "freshet",
    collection: "pets",
    keys: { id },
    sequence,
    version: 1,
    time: "2026-01-01T00:00:00.000Z",
    changed: ["age"],
    newImage: { id, age: sequence },
    oldImage: { id, age: sequence - 1 },
  };
}

/** One connection of a fake server: HELLO is answered, everything else waits to be read. */
export class FakePeer {
  readonly socket: Socket;
  readonly #reader = new FrameReader();
  readonly #frames: Frame[] = [];
  #wake: (() => void) | null = null;
  #isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake?.();
    });
    socket.on("data", (chunk) => {
      this.#reader.push(chunk);
      for (let each = this.#reader.next(); each !== null; each = this.#reader.next()) {
        this.#frames.push(each);
      }
      this.#wake?.();
    });
  }

  /** The next frame of the client, which must have this opcode; PINGs between are answered, CREDITs left out unless asked for. */
  async expect(opcode: number): Promise<Frame> {
    for (;;) {
      const next = this.#frames.shift();
      if (next === undefined) {
        await this.#more();
      } else if (next.opcode === opcode) {
        return next;
      } else if (next.opcode === Opcode.PING) {
        this.send(frame(Opcode.PING | ANSWER, 200, next.id, next.body));
      } else if (next.opcode !== Opcode.CREDIT) {
        throw new Error(`a frame ${next.opcode} came; ${opcode} was expected`);
      }
    }
  }

  /** The next PING, which is the test's to answer. */
  async expectPing(): Promise<Frame> {
    for (;;) {
      const next = this.#frames.shift();
      if (next?.opcode === Opcode.PING) {
        return next;
      }
      if (next !== undefined && next.opcode !== Opcode.CREDIT) {
        throw new Error(`a frame ${next.opcode} came; a PING was expected`);
      }
      if (next === undefined) {
        await this.#more();
      }
    }
  }

  async #more(): Promise<void> {
    if (this.#isClosed) {
      throw new Error("the client has closed");
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("nothing came from the client in time")), DEADLINE_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  send(...frames: Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  async welcome(features: string[] = []): Promise<void> {
    const hello = await this.expect(Opcode.HELLO);
    this.send(welcome(hello.id, features));
  }

  /** As by kill -9. */
  drop(): void {
    this.socket.destroy();
  }

  async closed(): Promise<void> {
    while (!this.#isClosed) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** A server that answers nothing by itself. */
export class FakeServer {
  readonly #server: Server;
  readonly #peers: FakePeer[] = [];
  #wake: (() => void) | null = null;
  url = "";

  private constructor() {
    this.#server = createServer((socket) => {
      this.#peers.push(new FakePeer(socket));
      this.#wake?.();
    });
  }

  static async start(): Promise<FakeServer> {
    const fake = new FakeServer();
    fake.#server.listen(0, "127.0.0.1");
    await once(fake.#server, "listening");
    fake.url = `freshet://127.0.0.1:${(fake.#server.address() as AddressInfo).port}`;
    return fake;
  }

  /** The next connection. */
  async accept(): Promise<FakePeer> {
    while (this.#peers.length === 0) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#peers.shift() as FakePeer;
  }

  stop(): void {
    this.#server.close();
  }
}

/** The server's program; empty: there is none, and tests with it are skipped. */
export const FRESHET_BIN = process.env["FRESHET_BIN"] ?? "";

/** A real server on free ports, with a data directory of its own. */
export class RealServer {
  readonly #folder = mkdtempSync(join(tmpdir(), "freshet-node-"));
  #process: ChildProcess | null = null;
  #ports: { wire: string; http: string } | null = null;

  static async start(): Promise<RealServer> {
    const server = new RealServer();
    await server.start();
    return server;
  }

  get url(): string {
    return `freshet://${this.#ports?.wire}`;
  }

  get http(): string {
    return `http://${this.#ports?.http}`;
  }

  /** Starts it, or starts it again, under the same addresses. */
  async start(): Promise<void> {
    const http = this.#ports?.http ?? "127.0.0.1:0";
    const wire = this.#ports?.wire ?? "127.0.0.1:0";
    const options = ["serve", "--data", this.#folder, "--http", http, "--wire", wire, "--threads", "1", "--cache-bytes", "16MiB"];
    const child = spawn(FRESHET_BIN, options, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, FRESHET_LOG_LEVEL: "warning" } });
    this.#process = child;
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    for await (const line of lines) {
      const ready = JSON.parse(line) as { event?: string; wire: string; http: string };
      if (ready.event === "ready") {
        this.#ports = ready;
        child.stdout?.resume();
        return;
      }
    }
    throw new Error("the server did not start");
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** A clean end, after which it can be started again. */
  async terminate(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const exit = once(child, "exit");
      child.kill(signal);
      await exit;
    }
    this.#process = null;
  }
}

/** Numbers that look random, the same for the same seed. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Of a test run: FRESHET_SEED, or a new one. */
export const SEED = Number(process.env["FRESHET_SEED"] ?? Date.now() % 1_000_000);
