// A folder with a small good model, data set and configuration that a case then spoils, and the real CLI to run in it.
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const temper = join(root, "packages/cli/bin/temper.js");
const goodModel = join(root, "fixtures/llamafactory/model");

/** The good configuration, as `key: value` lines. */
export const goodYaml = `model_name_or_path: model
dataset: rows
dataset_dir: data
template: default
output_dir: out
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 4
cutoff_len: 128
max_steps: 2
per_device_train_batch_size: 2
learning_rate: 1.0e-3
logging_steps: 1
save_strategy: "no"
threads: 1
`;

export interface Answer {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  milliseconds: number;
}

export interface Running {
  readonly process: ChildProcess;
  readonly done: Promise<Answer>;
  /** Resolves when standard error so far matches. */
  until(pattern: RegExp): Promise<void>;
}

/** Milliseconds a process may live: far above any answer, and below the time limit of a test. */
const lifetime = 50_000;

/** A temporary folder; `dispose` ends what still runs in it and removes it. */
export class Box {
  readonly folder: string = mkdtempSync(join(tmpdir(), "temper-bad-"));
  readonly #running = new Set<ChildProcess>();

  constructor() {
    cpSync(goodModel, this.path("model"), { recursive: true });
    this.write("run.yaml", goodYaml);
    this.write("data/dataset_info.json", JSON.stringify({ rows: { file_name: "rows.json" } }));
    this.rows("rows.json", goodRows(8));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, content: string | Uint8Array): void {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), content);
  }

  remove(name: string): void {
    rmSync(this.path(name), { recursive: true, force: true });
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  /** Writes a data file; `.jsonl` gets a row a line. */
  rows(name: string, rows: readonly unknown[]): void {
    const lines = rows.map((row) => JSON.stringify(row));
    this.write(`data/${name}`, name.endsWith(".jsonl") ? `${lines.join("\n")}\n` : `[${lines.join(",\n")}]`);
  }

  /** Points the data set at another file or entry. */
  dataset(entry: object): void {
    this.write("data/dataset_info.json", JSON.stringify({ rows: entry }));
  }

  /** Changes keys of the model's config.json. */
  config(changes: Record<string, unknown>): void {
    const config = JSON.parse(this.read("model/config.json").toString()) as Record<string, unknown>;
    this.write("model/config.json", JSON.stringify({ ...config, ...changes }));
  }

  start(args: readonly string[], env: Record<string, string> = {}): Running {
    const began = performance.now();
    const child = spawn(process.execPath, [temper, ...args], {
      cwd: this.folder,
      env: { ...process.env, CI: "1", ...env },
      // A group of its own, so that nothing it started outlives it.
      detached: true,
    });
    this.#running.add(child);
    const end = setTimeout(() => endGroup(child), lifetime);
    let stdout = "";
    let stderr = "";
    const watchers = new Set<() => void>();
    child.stdout.on("data", (part: Buffer) => (stdout += part.toString()));
    child.stderr.on("data", (part: Buffer) => {
      stderr += part.toString();
      for (const watch of watchers) watch();
    });
    child.stdin.end();
    const done = new Promise<Answer>((resolve) => {
      child.on("close", (code, signal) => {
        clearTimeout(end);
        this.#running.delete(child);
        resolve({ code, signal, stdout, stderr, milliseconds: performance.now() - began });
      });
    });
    const until = (pattern: RegExp): Promise<void> =>
      new Promise((resolve, reject) => {
        const watch = (): void => void (pattern.test(stderr) && resolve());
        watchers.add(watch);
        watch();
        void done.then(() => reject(new Error(`ended before ${pattern}: ${stderr}`)));
      });
    return { process: child, done, until };
  }

  run(args: readonly string[], env: Record<string, string> = {}): Promise<Answer> {
    return this.start(args, env).done;
  }

  /** Every path below the folder with its kind and hash. */
  snapshot(): string[] {
    const entries = readdirSync(this.folder, { recursive: true }) as string[];
    return entries.sort().map((name) => `${name} ${identity(this.path(name))}`);
  }

  dispose(): void {
    for (const child of this.#running) endGroup(child);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** SIGKILL to a process and all it started. */
function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function identity(path: string): string {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return `-> ${readlinkSync(path)}`;
  if (!stat.isFile()) return "folder";
  if (stat.size > 1 << 26) return `${stat.size} ${stat.mtimeMs}`;
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Rows of the alpaca format. */
export function goodRows(count: number): { instruction: string; output: string }[] {
  return Array.from({ length: count }, (_, i) => ({ instruction: `say ${i}`, output: `it is ${i * i}` }));
}

/** Fails early, with what to do, where the command line tool is not built. */
export function requireBuild(): void {
  if (!existsSync(join(root, "packages/cli/dist/index.js"))) throw new Error("the CLI is not built; run npm run setup");
}

let running = 0;
const queue: (() => void)[] = [];

/** Two at a time: each case is a process with a compute thread. */
export async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= 2) await new Promise<void>((resolve) => queue.push(resolve));
  running++;
  try {
    return await work();
  } finally {
    running--;
    queue.shift()?.();
  }
}
