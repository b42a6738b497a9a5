// Types of what tools/build-wasm.mjs puts beside this file.
import type { WasmGlue } from "../src/wasm.ts";

export declare const openBackend: WasmGlue["openBackend"];
export declare const lastPanic: WasmGlue["lastPanic"];
export declare const initSync: WasmGlue["initSync"];
