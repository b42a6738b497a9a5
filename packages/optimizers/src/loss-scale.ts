// The dynamic loss scale of mixed precision in f16 (Micikevicius et al. 2018, arXiv 1710.03740), as torch.amp.GradScaler
// steers it with the settings that accelerate leaves alone.

/** What a run remembers of it, and a checkpoint keeps. */
export interface LossScale {
  /** Factor of the loss, and so of the gradients; a power of two. */
  scale: number;
  /** Steps in a row whose gradients were finite, since the scale last changed. */
  growthTracker: number;
}

const growthInterval = 2000;

export const freshLossScale = (): LossScale => ({ scale: 2 ** 16, growthTracker: 0 });

/** After a step: half of it where a gradient overflowed, twice as much after 2,000 good steps, as f32 holds it. */
export function nextLossScale({ scale, growthTracker }: LossScale, overflowed: boolean): LossScale {
  if (overflowed) return { scale: Math.fround(scale / 2), growthTracker: 0 };
  if (growthTracker + 1 < growthInterval) return { scale, growthTracker: growthTracker + 1 };
  const grown = Math.fround(scale * 2);
  return { scale: Number.isFinite(grown) ? grown : scale, growthTracker: 0 };
}
