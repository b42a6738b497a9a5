/** The largest distance of two lists, or of one to 0; NaN where a number is none. */
export const largest = (values, other) =>
  values.reduce((most, x, i) => (Number.isNaN(x) ? x : Math.max(most, Math.abs(x - (other?.[i] ?? 0)))), 0);

/** The largest distance of two curves, each step in units of the second's; NaN where one is shorter. */
export const relative = (values, other) =>
  values.length === other.length ? largest(values.map((x, i) => (x - other[i]) / Math.abs(other[i]))) : Number.NaN;
