import type { RunConfig } from "@welltempered/config";
import { Engine } from "@welltempered/tensor";

/** The 16 bits of a run. */
export type Half = "bf16" | "f16";

/** What frozen weights, waiting activations and large products of a run may be rounded to. */
export const halfOf = ({ bf16, fp16, pureBf16 }: RunConfig): Half | undefined =>
  bf16 || pureBf16 ? "bf16" : fp16 ? "f16" : undefined;

/** What trained weights are held in. */
export const trainedDtype = ({ pureBf16 }: RunConfig): "f32" | "bf16" => (pureBf16 ? "bf16" : "f32");

/** Of a model that only answers: `infer_dtype` as LlamaFactory's chat takes it, or the run's own. */
export const answersIn = (config: RunConfig): Half | undefined =>
  config.inferDtype === "bfloat16" || halfOf(config) === "bf16" ? "bf16" : undefined;

/** The backend that a configuration names; with `half` large products and waiting activations may be in it. */
export function openEngine({ device, threads, tf32 }: RunConfig, half?: Half): Engine {
  const engine = Engine.open({
    device,
    ...(threads === undefined ? {} : { threads }),
    matmulPrecision: half ?? (tf32 ? "tf32" : "f32"),
  });
  engine.narrowSaved = half;
  return engine;
}
