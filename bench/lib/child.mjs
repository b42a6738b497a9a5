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
    // A process that ended cannot be written to: the next answer says so.
    this.#process.stdin.on("error", () => {});
    this.#process.on("error", () => {});
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.name = args.find((word) => /\.(mjs|js|py)$/.test(word)) ?? command;
  }

  get pid() {
    return this.#process.pid;
  }

  get ended() {
    return this.#process.pid === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** The next line it prints. A process that takes longer than `seconds` is killed. */
  async answer(seconds) {
    let late = "";
    const end = () => {
      late = ` in ${seconds.toFixed(0)} s`;
      this.#process.kill("SIGKILL");
    };
    const timer = seconds === undefined ? undefined : setTimeout(end, 1000 * seconds);
    const { done, value } = await this.#lines.next();
    clearTimeout(timer);
    if (done) throw new Error(`${this.name} ended without an answer${late}`);
    return JSON.parse(value);
  }

  async ask(request, seconds) {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    return this.answer(seconds);
  }

  peakMemory() {
    return peakMemory(this.#process.pid);
  }

  /** Ends the process by closing its input; one that does not end so within a minute is killed. */
  async close() {
    if (this.ended) return;
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.stdin.end();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 60_000);
    await ended;
    clearTimeout(timer);
  }
}
