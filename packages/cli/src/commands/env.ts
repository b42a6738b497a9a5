import { arch, availableParallelism, cpus, freemem, platform, totalmem } from "node:os";
import { describeBackends } from "@welltempered/kernels";
import type { Context } from "../context.ts";
import { version } from "../main.ts";

/** What each environment variable does. */
const variables: readonly (readonly [name: string, meaning: string])[] = [
  ["TEMPER_DEVICE", "force a backend: cuda, cpu, wasm or reference"],
  ["TEMPER_CUDA_DEVICE", "which GPU, from 0"],
  ["TEMPER_CUDA_MEMORY", "bytes of the GPU that may be used"],
  ["TEMPER_CUDA_LIBRARIES", "folders of NVRTC and cuBLASLt"],
  ["TEMPER_CUDA_UNCHECKED", "1 uses a GPU without comparing it with the CPU first"],
  ["TEMPER_KERNELS_PATH", "explicit native library"],
  ["TEMPER_MEMORY_LIMIT", "memory a run may plan with, in bytes, instead of what is free"],
  ["CI", "no line in place"],
];

interface Report {
  temper: string;
  node: string;
  platform: string;
  cpu: string;
  threads: number;
  memory: string;
  backends: ReturnType<typeof describeBackends>["backends"];
  library: ReturnType<typeof describeBackends>["library"];
  variables: Record<string, string | null>;
}

/** `temper env`: versions, machine, backends and environment variables. */
export async function env(_words: string[], context: Context): Promise<number> {
  const report = gather();
  context.print(context.json ? `${JSON.stringify(report)}\n` : text(report));
  return 0;
}

function gather(): Report {
  const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);
  return {
    temper: version(),
    node: process.versions.node,
    platform: `${platform()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    threads: availableParallelism(),
    memory: `${gigabytes(freemem())} of ${gigabytes(totalmem())} GB free`,
    ...describeBackends(),
    variables: Object.fromEntries(variables.map(([name]) => [name, process.env[name] ?? null])),
  };
}

function text({ backends, library, variables: values, ...machine }: Report): string {
  const lines = Object.entries(machine).map(([name, value]) => `${name.padEnd(10)} ${value}`);
  const candidates = backends.map(
    ({ name, available, detail, choice }) =>
      `  ${name.padEnd(10)} ${available ? "yes" : "no "}  ${detail}  (${choice})`,
  );
  const settings = variables.map(([name, meaning]) => `  ${name}=${values[name] ?? ""}  (${meaning})`);
  const places = library.map(({ path, problem }) => `  ${path}  ${problem ?? "loaded"}`);
  return [...lines, "backends", ...candidates, "libraries", ...places, "environment", ...settings, ""].join("\n");
}
