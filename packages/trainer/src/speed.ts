const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

/** Runtime and rates under a prefix, rounded as `transformers.trainer_utils.speed_metrics` rounds them. */
export function speedMetrics(
  prefix: string,
  seconds: number,
  counts: { samples?: number; steps?: number; tokens?: number },
): Record<string, number> {
  const metrics: Record<string, number> = { [`${prefix}_runtime`]: rounded(seconds, 4) };
  if (seconds <= 0) return metrics;
  for (const [name, count] of Object.entries(counts))
    metrics[`${prefix}_${name}_per_second`] = rounded(count / seconds, 3);
  return metrics;
}
