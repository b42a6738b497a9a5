import { choice, flag, integer, optional } from "../kinds.ts";
import type { KeyTable, WrittenMachine } from "../written.ts";

/** Keys of this project, unknown to LlamaFactory. */
export const machineKeys: KeyTable<WrittenMachine> = {
  threads: optional(integer(1, { min: 1, max: 1024 }, "Threads of the kernels; all cores by default.")),
  share_prefixes: flag(
    true,
    "Compute what rows of a micro-batch begin with in common once; without dropout it is exact.",
  ),
  device: choice(
    "auto",
    ["auto", "cuda", "cpu", "wasm", "reference"],
    "Backend: the fastest, an NVIDIA GPU, the CPU, WebAssembly, or the readable naive one.",
  ),
};
