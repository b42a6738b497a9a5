// The WebAssembly module behind the contract. Its glue is what wasm-bindgen writes; nothing here is of Node or of browsers.

import type { KernelBackend } from "./backend.ts";
import { KernelError, toKernelError } from "./errors.ts";
import { NativeBackend } from "./native.ts";
import type { NativeLibrary } from "./native.ts";
import { webAssembly } from "./web-assembly.ts";
import type { WasmModule } from "./web-assembly.ts";

/** What tools/build-wasm.mjs puts into packages/kernels/wasm/kernels_wasm.js. */
export interface WasmGlue {
  openBackend(kind: string): NativeLibrary;
  /** What the latest panic said. */
  lastPanic(): string | undefined;
  initSync(from: { module: ArrayBuffer | ArrayBufferView | WasmModule }): unknown;
}

/** A panic or a lack of memory ends in a trap: the module's own error says nothing, the panic's message does. */
function explained(glue: WasmGlue, op: string, error: unknown): KernelError {
  if (!(error instanceof webAssembly.RuntimeError)) return toKernelError(op, error);
  const said = glue.lastPanic();
  if (said === undefined) return new KernelError("OUT_OF_MEMORY", `${op}: ${error.message}`);
  return new KernelError("PANIC", `${op}: ${said}; this is a bug, please report it`, "open another backend");
}

/** The library with its traps turned into errors that have a code. */
function guarded(glue: WasmGlue, library: NativeLibrary): NativeLibrary {
  return new Proxy(library, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return (...words: unknown[]): unknown => {
        try {
          return Reflect.apply(method, target, words);
        } catch (error) {
          throw explained(glue, String(name), error);
        }
      };
    },
  });
}

/** Opens "wasm" or "reference" in a module that is ready. Backends of one module share its memory of 4 GiB. */
export function openWasm(glue: WasmGlue, kind: "wasm" | "reference"): KernelBackend {
  try {
    return new NativeBackend(guarded(glue, glue.openBackend(kind)));
  } catch (error) {
    throw explained(glue, "openBackend", error);
  }
}
