/** The module of one function that returns a 128-bit vector: valid where there is SIMD. */
const simd = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** Why this browser cannot run the kernels; undefined where it can. */
export function whyNotHere(): string | undefined {
  const { WebAssembly } = globalThis;
  if (typeof WebAssembly === "object" && WebAssembly.validate(simd)) return undefined;
  const missing = typeof WebAssembly === "object" ? "WebAssembly SIMD" : "WebAssembly";
  return `This browser has no ${missing}, which the kernels are made of; use Chrome 91, Firefox 89 or Safari 16.4, or later.`;
}
