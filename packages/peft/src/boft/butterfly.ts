/**
 * The place that each channel takes among the blocks of a butterfly's factor 0, 1, …: a run of blockSize·2^factor channels
 * is cut into pieces of half a block, and those of its first half take the even places, the others the odd ones, so that a
 * block joins pieces half a run apart. undefined for factor 0, whose blocks lie as they are.
 */
export function butterflyOrder(channels: number, blockSize: number, factor: number): Int32Array | undefined {
  if (factor === 0) return undefined;
  const [piece, pieces] = [blockSize / 2, 2 ** (factor + 1)];
  return Int32Array.from({ length: channels }, (_, channel) => {
    const run = Math.floor(channel / (piece * pieces)) * pieces;
    const at = Math.floor(channel / piece) - run;
    const place = at < pieces / 2 ? 2 * at : 2 * at - pieces + 1;
    return (run + place) * piece + (channel % piece);
  });
}
