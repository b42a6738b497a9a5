import type { RunConfig } from "@welltempered/config";
import { Engine } from "@welltempered/tensor";

/** Whether a model that only answers does so in bf16: `infer_dtype` as LlamaFactory's chat takes it, or `bf16`. */
export const answersInBf16 = ({ bf16, inferDtype }: RunConfig): boolean => bf16 || inferDtype === "bfloat16";

/** The backend that a configuration names; with `bf16` large products and waiting activations may be in it. */
export function openEngine({ device, threads, tf32 }: RunConfig, bf16 = false): Engine {
  const engine = Engine.open({
    device,
    ...(threads === undefined ? {} : { threads }),
    matmulPrecision: bf16 ? "bf16" : tf32 ? "tf32" : "f32",
  });
  engine.narrowSaved = bf16;
  return engine;
}
