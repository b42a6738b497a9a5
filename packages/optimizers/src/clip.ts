import type { Slot } from "@welltempered/kernels";
import type { Engine, Tensor } from "@welltempered/tensor";
import type { Trainable } from "./optimizer.ts";

export interface ClippedGradients {
  /** Norm before clipping, without the loss scale [1]. */
  norm: Tensor;
  /** min(1, maxNorm / (norm + 1e-6)) [1], 1 where maxNorm is 0 (torch.nn.utils.clip_grad_norm_); over the loss scale. */
  scale: Tensor;
  /** 1 where the norm is not finite, else 0 [1]: the optimizer then changes nothing. */
  skip: Tensor;
}

/**
 * Global norm of the gradients and what the optimizer does with it; nothing is read and no gradient is written.
 * A `loss` [1] that is not finite makes the norm NaN, so that the optimizer skips although the gradients are finite.
 * Gradients of a loss times `lossScale`, a power of two, are divided by it before they are clipped.
 */
export function clipGradients(
  engine: Engine,
  parameters: Iterable<Trainable>,
  maxNorm: number,
  loss?: Tensor,
  lossScale = 1,
): ClippedGradients {
  const gradients = [...parameters].flatMap(({ tensor }) => tensor.grad?.slot ?? []);
  const unscaled = (slot: Slot): Slot => {
    if (lossScale === 1) return slot;
    const result = engine.backend.scale(slot, 1 / lossScale);
    engine.backend.free(slot);
    return result;
  };
  const norm = engine.adopt(unscaled(engine.backend.gradNorm(gradients)));
  // norm + 0 · loss
  if (loss !== undefined) engine.backend.accumulate(norm.slot, loss.slot, 0);
  const [scale, skip] = engine.backend.clipFactor(norm.slot, maxNorm);
  return { norm, scale: engine.adopt(unscaled(scale)), skip: engine.adopt(skip) };
}
