// A process that speaks JSON lines: one answer a request, its peak memory read from outside.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { root } from "../../tools/lib.mjs";

/** VmHWM in bytes. */
export function peakMemory(pid) {
  const kilobytes = /^VmHWM:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

export class Child {
  #process;
  #lines;

  constructor(command, args, env = {}) {
    this.#process = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.name = args.find((word) => /\.(mjs|js|py)$/.test(word)) ?? command;
  }

  get pid() {
    return this.#process.pid;
  }

  /** The next line it prints. */
  async answer() {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error(`${this.name} ended without an answer`);
    return JSON.parse(value);
  }

  async ask(request) {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    return this.answer();
  }

  peakMemory() {
    return peakMemory(this.#process.pid);
  }

  /** Ends the process by closing its input. */
  async close() {
    if (this.#process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.stdin.end();
    await ended;
  }
}
