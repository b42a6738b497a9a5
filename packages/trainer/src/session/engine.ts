import type { RunConfig } from "@welltempered/config";
import { Engine } from "@welltempered/tensor";

/** The backend that a configuration names; with `bf16` large products and waiting activations may be in it. */
export function openEngine({ device, threads }: RunConfig, bf16 = false): Engine {
  const engine = Engine.open({
    device,
    ...(threads === undefined ? {} : { threads }),
    matmulPrecision: bf16 ? "bf16" : "f32",
  });
  engine.narrowSaved = bf16;
  return engine;
}
