// The part of the WebAssembly API that is used here: TypeScript has its types only among all those of the DOM.

declare const module: unique symbol;
/** Compiled code. */
export interface WasmModule {
  readonly [module]: true;
}

interface WebAssemblyApi {
  compile(bytes: ArrayBuffer | ArrayBufferView): Promise<WasmModule>;
  validate(bytes: ArrayBufferView): boolean;
  readonly Module: new (bytes: ArrayBuffer | ArrayBufferView) => WasmModule;
  readonly RuntimeError: new (message: string) => Error;
}

/** Absent from an engine that compiles nothing (`node --jitless`). */
export const webAssembly: WebAssemblyApi = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;

/** A function that returns the relaxed_madd of three zeros. */
const PROBE = Uint8Array.from(
  [
    [0, 97, 115, 109, 1, 0, 0, 0], // "\0asm", version 1
    [1, 5, 1, 96, 0, 1, 123], // one type: () → v128
    [3, 2, 1, 0], // one function of that type
    [10, 19, 1, 17, 0], // its code, 17 bytes without locals
    [65, 0, 253, 17, 65, 0, 253, 17, 65, 0, 253, 17], // three times i32.const 0, i32x4.splat
    [253, 133, 2, 11], // f32x4.relaxed_madd, end
  ].flat(),
);

/** Whether this engine has relaxed SIMD, whose multiply-add is one instruction: not before V8 11.4, nor in Safari. */
export const fusesMultiplyAdd = (): boolean => (webAssembly as WebAssemblyApi | undefined)?.validate(PROBE) === true;
