import type { Tensor } from "@welltempered/tensor";

/** What an optimizer changes: a parameter of `nn`, or anything that holds a leaf tensor. */
export interface Trainable {
  readonly tensor: Tensor;
}

/** Parameters that share their settings. */
export interface ParameterGroup {
  parameters: readonly Trainable[];
  /** Names of the parameters, for the saved state. */
  names: readonly string[];
  weightDecay: number;
  /** Multiplies the learning rate of the schedule: LoRA+ trains B faster than A. */
  learningRateFactor: number;
}

export interface Optimizer {
  /**
   * One update from the gradients, in place. Gradients are multiplied by `scale` [1]; nothing changes where `skip` [1]
   * is not 0: neither is read here. A parameter without a gradient is left alone.
   */
  step(learningRate: number, scale: Tensor, skip: Tensor): void;
  /** Everything a checkpoint needs, by name: f32, bf16 or u8 tensors, which stay the optimizer's. */
  state(): Iterable<[name: string, tensor: Tensor]>;
  /** Overwrites the state in place. @throws {OptimizersError} BAD_STATE where a name is missing */
  load(read: (name: string) => Uint8Array | undefined): void;
  dispose(): void;
}
