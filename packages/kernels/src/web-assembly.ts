// The part of the WebAssembly API that is used here: TypeScript has its types only among all those of the DOM.

declare const module: unique symbol;
/** Compiled code. */
export interface WasmModule {
  readonly [module]: true;
}

interface WebAssemblyApi {
  compile(bytes: ArrayBuffer | ArrayBufferView): Promise<WasmModule>;
  readonly Module: new (bytes: ArrayBuffer | ArrayBufferView) => WasmModule;
  readonly RuntimeError: new (message: string) => Error;
}

export const webAssembly: WebAssemblyApi = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;
