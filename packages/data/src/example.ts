/** One tokenised training example. */
export interface Example {
  inputIds: Int32Array;
  /** −100 where masked; not shifted. */
  labels: Int32Array;
  /** Lengths of the sequences that may not see each other: the whole, each packed one with neat packing, both of a pair. */
  segmentLengths: Int32Array;
  /** Restart with each packed sequence. */
  positions: Int32Array;
  /** What LlamaFactory counts as `num_input_tokens_seen: non_padding`; plain packing counts its padding. */
  tokenCount: number;
  /** Length LlamaFactory pads the example to before batching. */
  paddedLength: number;
  /** Number of the (first) row in its dataset. */
  row: number;
}

/** Examples by number. */
export interface TokenizedDataset {
  readonly length: number;
  get(index: number): Example;
}

/** A dataset over examples held in memory; `get` throws a RangeError outside it. */
export function datasetOf(examples: readonly Example[]): TokenizedDataset {
  return {
    length: examples.length,
    get(index) {
      const example = examples[index];
      if (example === undefined) throw new RangeError(`example ${index} of ${examples.length}`);
      return example;
    },
  };
}

/** An example of one sequence. */
export function singleExample(inputIds: Int32Array, labels: Int32Array, row: number): Example {
  const length = inputIds.length;
  const positions = new Int32Array(length).map((_, i) => i);
  return {
    inputIds,
    labels,
    segmentLengths: Int32Array.of(length),
    positions,
    tokenCount: length,
    paddedLength: length,
    row,
  };
}
