import { describeBackends } from "../src/index.ts";
import type { Device, DType, KernelBackend, Shape, Slot } from "../src/index.ts";

/** Backends of this machine. */
export const devices = describeBackends()
  .backends.filter(({ available }) => available)
  .map(({ name }) => name as Device);

/** Uploads numbers as f32, f64 or i32. */
export function put(k: KernelBackend, values: readonly number[], shape: Shape, dtype: DType = "f32"): Slot {
  const typed = { f32: Float32Array, f64: Float64Array, i32: Int32Array }[dtype as "f32" | "f64" | "i32"].from(values);
  return k.upload(dtype, shape, new Uint8Array(typed.buffer));
}

/** Downloads f32, f64 or i32 as numbers. */
export async function get(k: KernelBackend, x: Slot): Promise<number[]> {
  const buffer = (await k.read(x)).buffer as ArrayBuffer;
  const type = { f32: Float32Array, f64: Float64Array, i32: Int32Array }[k.dtype(x) as "f32" | "f64" | "i32"];
  return [...new type(buffer)];
}
