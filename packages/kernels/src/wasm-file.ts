// Where Node finds the WebAssembly module that this package carries.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import type { LibraryAttempt } from "./library.ts";
import type { WasmGlue } from "./wasm.ts";
import { fusesMultiplyAdd } from "./web-assembly.ts";

const require = createRequire(import.meta.url);
const name = fusesMultiplyAdd() ? "kernels_wasm_fused.wasm" : "kernels_wasm_bg.wasm";
const MODULE = fileURLToPath(new URL(`../wasm/${name}`, import.meta.url));
const GLUE = fileURLToPath(new URL("../wasm/kernels_wasm.js", import.meta.url));

let ready: WasmGlue | undefined;

/** The module, compiled at the first call, or why there is none. */
export function findWasm(): { glue: WasmGlue | undefined; attempt: LibraryAttempt } {
  try {
    ready ??= load();
    return { glue: ready, attempt: { path: MODULE } };
  } catch (error) {
    const missing = ["ENOENT", "MODULE_NOT_FOUND"].includes((error as NodeJS.ErrnoException).code ?? "");
    const problem = missing ? "not built; `node tools/build-wasm.mjs` says why" : String(error).split("\n")[0];
    return { glue: undefined, attempt: { path: MODULE, problem: problem ?? "" } };
  }
}

function load(): WasmGlue {
  const bytes = readFileSync(MODULE);
  const glue = require(GLUE) as WasmGlue;
  glue.initSync({ module: bytes });
  return glue;
}
