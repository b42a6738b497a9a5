import { openInput } from "./io.ts";
import { safetensorsSource, type WeightSource } from "./weight-source.ts";

/** Tensors of one safetensors file, or of several that must not share a name. */
export function openSafetensors(path: string, files: readonly string[] = [path]): WeightSource {
  return safetensorsSource(path, opening(files));
}

function* opening(files: readonly string[]): Generator<ReturnType<typeof openInput>> {
  for (const file of files) yield openInput(file);
}
