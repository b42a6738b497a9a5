// Where Node finds the WebAssembly module that this package carries.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import type { LibraryAttempt } from "./library.ts";
import type { WasmGlue } from "./wasm.ts";
import { fusesMultiplyAdd } from "./web-assembly.ts";

const require = createRequire(import.meta.url);
const GLUE = fileURLToPath(new URL("../wasm/kernels_wasm.js", import.meta.url));

/** The form of the module that this Node can load. */
function place(): string {
  const name = fusesMultiplyAdd() ? "kernels_wasm_fused.wasm" : "kernels_wasm_bg.wasm";
  return fileURLToPath(new URL(`../wasm/${name}`, import.meta.url));
}

let ready: WasmGlue | undefined;

/** The module, compiled at the first call, or why there is none. */
export function findWasm(): { glue: WasmGlue | undefined; attempt: LibraryAttempt } {
  const path = place();
  try {
    ready ??= load(path);
    return { glue: ready, attempt: { path } };
  } catch (error) {
    const missing = ["ENOENT", "MODULE_NOT_FOUND"].includes((error as NodeJS.ErrnoException).code ?? "");
    const problem = missing ? "not built; `node tools/build-wasm.mjs` says why" : String(error).split("\n")[0];
    return { glue: undefined, attempt: { path, problem: problem ?? "" } };
  }
}

function load(path: string): WasmGlue {
  const bytes = readFileSync(path);
  const glue = require(GLUE) as WasmGlue;
  glue.initSync({ module: bytes });
  return glue;
}
