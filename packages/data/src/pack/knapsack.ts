/** Index of the first number above `limit` in an ascending list. */
function upperBound(ascending: readonly number[], limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Fills knapsacks one after another with the largest number that still fits; all numbers are at most `capacity`. */
export function greedyKnapsack(numbers: readonly number[], capacity: number): number[][] {
  const left = [...numbers].sort((a, b) => a - b);
  const knapsacks: number[][] = [];
  while (left.length > 0) {
    const knapsack: number[] = [];
    let room = capacity;
    for (let index = upperBound(left, room); index > 0; index = upperBound(left, room)) {
      const [number = 0] = left.splice(index - 1, 1);
      knapsack.push(number);
      room -= number;
    }
    if (knapsack.length === 0) throw new RangeError(`${left[0]} does not fit into a capacity of ${capacity}`);
    knapsacks.push(knapsack);
  }
  return knapsacks;
}
