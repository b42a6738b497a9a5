// The entry for browsers and workers: no Node, no native library; the WebAssembly module is handed over by the page.

import type { KernelBackend } from "./backend.ts";
import { KernelError } from "./errors.ts";
import type { BackendReport } from "./loader.ts";
import { openWasm } from "./wasm.ts";
import type { WasmGlue } from "./wasm.ts";
import { fusesMultiplyAdd, webAssembly } from "./web-assembly.ts";
import type { WasmModule } from "./web-assembly.ts";

export * from "./contract.ts";

/** Bytes, a compiled module, an address, or an answer of `fetch`. */
export type WasmSource = ArrayBuffer | ArrayBufferView | WasmModule | URL | string | Response | Promise<Response>;

let ready: WasmGlue | undefined;
let memory: { readonly buffer: ArrayBuffer } | undefined;

async function compiled(source: WasmSource): Promise<WasmModule> {
  if (source instanceof webAssembly.Module) return source;
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return await webAssembly.compile(source);
  const answer = await (typeof source === "string" || source instanceof URL ? fetch(source) : source);
  if (!answer.ok) throw new KernelError("NO_BACKEND", `wasm: ${answer.url} answered ${answer.status}`);
  // Not compileStreaming: it refuses servers that do not know the type of .wasm files.
  return await webAssembly.compile(await answer.arrayBuffer());
}

/** The module that lies in this package, in the form that this browser can load. */
const ours = (): URL =>
  // Each in full: bundlers find files by such lines.
  fusesMultiplyAdd()
    ? new URL("../wasm/kernels_wasm_fused.wasm", import.meta.url)
    : new URL("../wasm/kernels_wasm_bg.wasm", import.meta.url);

/** Makes the module ready for `openBackend`; by default the one that lies in this package. Once a page or worker. */
export async function loadWasm(source: WasmSource = ours()): Promise<void> {
  const module = await compiled(source);
  const glue = await import("../wasm/kernels_wasm.js");
  ({ memory } = glue.initSync({ module }));
  ready = glue;
}

/** Bytes of the module's memory, which grows and never shrinks; 0 before `loadWasm`. */
export const memoryBytes = (): number => memory?.buffer.byteLength ?? 0;

/** Opens a backend of the module; one thread whatever is asked. Throws NO_BACKEND before `loadWasm`. */
export function openBackend({ device = "auto" }: { device?: string; threads?: number } = {}): KernelBackend {
  if (ready === undefined) throw new KernelError("NO_BACKEND", "wasm: not loaded", "await loadWasm() first");
  if (device === "auto" || device === "wasm") return openWasm(ready, "wasm");
  if (device === "reference") return openWasm(ready, device);
  throw new KernelError("NO_BACKEND", `${device}: not in a browser`, "use auto, wasm or reference");
}

/** What `openBackend` can open. */
export function describeBackends(): { backends: BackendReport[] } {
  const loaded = ready !== undefined;
  const detail = loaded ? openBackend().description : "not loaded: await loadWasm() first";
  const choice = loaded ? "taken: the only one in a browser" : "not taken: not loaded";
  return { backends: [{ name: "wasm", available: loaded, detail, choice }] };
}
