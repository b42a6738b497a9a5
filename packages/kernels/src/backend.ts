// The one narrow interface every machine implements: naive Rust, CPU SIMD, WASM, CUDA. Methods are coarse, synchronous
// to call and free to be asynchronous to finish; only `read` waits. Slots are opaque: no view of backend memory leaves.
// Matrices are row-major. Activations are packed rows [N, D]: there is no batch axis and no padding.
// Outputs have the compute dtype: f64 where an activation is f64, else f32; weights may be any float dtype or codec.

export type DType = "f32" | "bf16" | "f16" | "f64" | "i32" | "i8" | "u8";

/** GGUF blocks, as they lie in the file. */
export type GgufCodec =
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "iq4_nl"
  | "q2_k"
  | "q3_k"
  | "q4_k"
  | "q5_k"
  | "q6_k";
/** bitsandbytes' 4-bit codes: table, weights a block, absmax quantised too. Bytes: crates/kernels/src/codec/four_bit.rs. */
export type FourBitCodec = `${"nf4" | "fp4"}/${32 | 64 | 128 | 256 | 512 | 1024 | 2048 | 4096}${"" | "/double"}`;
/** bitsandbytes' int8 with the threshold of outliers (0: none); a linear layer multiplies integers. Bytes: codec/llm_int8.rs. */
export type LlmInt8Codec = `llm_int8/${number}`;
export type BitsandbytesCodec = FourBitCodec | LlmInt8Codec;
/** How a weight may stay in a few bits: right side of `matmul`, table of `takeRows`, w of the losses expand it piece by piece. */
export type Codec =
  // A file of crates/kernels/src/codec each.
  | GgufCodec
  | FourBitCodec
  | LlmInt8Codec
  // EETQ's int8
  | "eetq";
/** The tag of a slot. */
export type StorageType = DType | Codec;

declare const slotBrand: unique symbol;
/** Index and generation of a tensor in backend memory, as one safe integer. */
export type Slot = number & { readonly [slotBrand]: true };

export type Shape = readonly number[];

/** Names one draw of randomness. Equal keys give equal numbers on every backend; `element` is counted by the kernel. */
export interface RngKey {
  /** Seed of the run, 0 … 2^53 − 1. */
  seed: number;
  /** What draws: 32-bit hash of a module path or purpose. */
  stream: number;
  /** Optimizer step. */
  step: number;
  /** Micro-step inside the optimizer step. */
  micro: number;
  /** Data-parallel rank. */
  rank: number;
}

export type MatmulLayout = "nn" | "nt" | "tn";
export type BinaryKind = "add" | "sub" | "mul";
export type ActivationKind = "relu" | "silu" | "tanh";
/** eˣ; log σ(x); log(1 − eˣ) for x < 0; √x for x ≥ 0; 1 where x > 0, else 0. */
export type UnaryKind = "exp" | "logSigmoid" | "logOneMinusExp" | "sqrt" | "step";

/** AdamW with decoupled decay (Loshchilov & Hutter 2019), torch's order of operations. */
export interface AdamWOptions {
  lr: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
}

/** torch.optim.SGD: coupled decay, first momentum buffer = gradient. */
export interface SgdOptions {
  lr: number;
  momentum: number;
  nesterov: boolean;
  weightDecay: number;
}

/** Lion (Chen et al. 2023) as bitsandbytes does it in f32: decay first, then the sign of the interpolation. */
export interface LionOptions {
  lr: number;
  beta1: number;
  beta2: number;
  weightDecay: number;
}

/** Adafactor (Shazeer & Stern 2018) with a given learning rate, as transformers with `scale_parameter` and `relative_step` off. */
export interface AdafactorOptions {
  lr: number;
  weightDecay: number;
  /** Added to squared gradients. */
  epsilon: number;
  /** Largest root mean square of an update before `lr`. */
  clip: number;
  /** The second moment decays by 1 − tᵈ at update t. */
  decayRate: number;
}

/** Moments in dynamic 8-bit codes: u8 of the parameter's shape, and a scale for each 256 elements. */
export interface CodedMoments {
  codes: readonly Slot[];
  scales: readonly Slot[];
}

/**
 * Which keys each query row attends to, as one i32 tensor.
 * For every segment in order: qStart, qLength, numRanges, then numRanges × (kStart, kLength).
 * The ranges are concatenated to the segment's keys, n in all; query i (0 ≤ i < qLength) sees the first
 * n − qLength + 1 + i of them. So a plain causal row of length L is [s, L, 1, s, L]; a row that continues a shared
 * prefix p is [s, L, 2, p, P, s, L]; decoding one token against a cache of c rows is [q, 1, 1, base, c + 1].
 */
export type AttentionLayout = Slot;

export interface AttentionOptions {
  headDim: number;
  /** Multiplies the scores; usually 1/√headDim. */
  scale: number;
  /** How many of the keys that the layout gives a query, the newest, it sees; 0: all. */
  window: number;
  /** Scores become cap · tanh(score/cap) before the softmax; 0: they stay. */
  softCap: number;
}

/** Bytes of a file. */
export interface FileRange {
  /** Descriptor of a file that Node has open. */
  fd: number;
  offset: number;
  length: number;
}

export interface KernelBackend {
  /** "cpu", "reference", …: the name `temper env` prints. */
  readonly name: string;
  /** One line about the machine: instruction set, threads. */
  readonly description: string;

  // ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Zeros. */
  alloc(type: StorageType, shape: Shape): Slot;
  /** Little-endian bytes, exactly those of the shape in this type; rows of a GGUF codec are whole blocks. Copies. */
  upload(type: StorageType, shape: Shape, bytes: Uint8Array): Slot;
  /**
   * As `upload`, from an open file, past the memory of JavaScript. undefined where the file ends before or cannot be read,
   * and from backends that reach no files: read the bytes, which says why, and `upload` them.
   */
  uploadFrom(type: StorageType, shape: Shape, range: FileRange): Slot | undefined;
  /** Overwrites all of a tensor in place. */
  write(x: Slot, bytes: Uint8Array): void;
  /** A copy of the bytes. The only method that waits for the machine. */
  read(x: Slot): Promise<Uint8Array>;
  /** Using or freeing the slot afterwards throws TENSOR_DISPOSED. */
  free(x: Slot): void;
  dtype(x: Slot): StorageType;
  shape(x: Slot): number[];
  /** A second slot on the same memory, which lives as long as any slot on it; not for codecs. */
  reshape(x: Slot, shape: Shape): Slot;
  copy(x: Slot): Slot;
  /** Floats to a codec quantise (GGUF blocks are only read), a codec to floats dequantises. */
  cast(x: Slot, type: StorageType): Slot;
  /** Slots not yet freed, and the bytes behind them, shared memory counted once. */
  liveTensors(): number;
  liveBytes(): number;
  /** Bytes that tensors may still take; undefined where they lie in the memory that the whole machine shares. */
  availableBytes(): number | undefined;

  // ── elementwise ─────────────────────────────────────────────────────────────────────────────────────────────────
  fill(x: Slot, value: number): void;
  /** Same shapes, or b [D] broadcast over the rows of a [N, D]. */
  binary(kind: BinaryKind, a: Slot, b: Slot): Slot;
  unary(kind: UnaryKind, x: Slot): Slot;
  /** factor · x */
  scale(x: Slot, factor: number): Slot;
  /** s[0] · x */
  scaleBy(x: Slot, s: Slot): Slot;
  /** cap · tanh(x/cap) */
  softCap(x: Slot, cap: number): Slot;
  /** acc += factor · x, in place. */
  accumulate(acc: Slot, x: Slot, factor: number): void;
  /** Sum of all elements → [1]. */
  sum(x: Slot): Slot;
  /** Column sums of x [N, D] → [D]. */
  sumRows(x: Slot): Slot;

  /**
   * The largest of each row of x [N, D] and where it stands, the first of equals; a NaN is larger than all, as in torch.max.
   * → [index i32 [N], value [N]]
   */
  argmax(x: Slot): [index: Slot, value: Slot];

  // ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** table [V, D] (any float dtype or codec), ids i32 [N] → [N, D]. An id outside 0 … V−1 throws OUT_OF_RANGE. */
  takeRows(table: Slot, ids: Slot): Slot;
  /** g [N, D], ids i32 [N] → [rows, D]: row r is the sum of the g rows whose id is r. */
  scatterAddRows(g: Slot, ids: Slot, rows: number): Slot;
  /** dst[ids[i]] = src[i], in place; the KV cache. */
  writeRows(dst: Slot, ids: Slot, src: Slot): void;
  /** Columns of x [N, Σ widths], one part after another → [N, width] each. */
  splitColumns(x: Slot, widths: readonly number[]): Slot[];
  /** Parts [N, …] side by side → [N, Σ widths]. */
  joinColumns(parts: readonly Slot[]): Slot;

  // ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * alpha · op(a) · op(b): nn a[M,K] b[K,N]; nt a[M,K] b[N,K]; tn a[K,M] b[K,N] → [M, N].
   * With `into` the product is added to that tensor in place and `into` is returned.
   * A codec may say how "nt", a linear layer, multiplies by it: llm_int8 quantises the rows of a too.
   */
  matmul(layout: MatmulLayout, a: Slot, b: Slot, alpha: number, into?: Slot): Slot;
  /**
   * op(a) · op(b) + factor · u · op(v), a change of low rank beside a weight, in one pass over the result: nn v[R,N]; nt v[N,R];
   * u[M,R] → [M, N]. `into` as in `matmul`.
   */
  matmulLowRank(
    layout: Exclude<MatmulLayout, "tn">,
    a: Slot,
    b: Slot,
    u: Slot,
    v: Slot,
    factor: number,
    into?: Slot,
  ): Slot;
  /** y = x · rstd · w, rstd = 1/√(mean(x²)+ε) of each D columns.  x [N,H·D], w [D] → [y [N,H·D], rstd [N·H]] */
  rmsNorm(x: Slot, w: Slot, epsilon: number): [y: Slot, rstd: Slot];
  /** → [dx] or [dx, dw] */
  rmsNormBackward(g: Slot, x: Slot, w: Slot, rstd: Slot, needsW: boolean): Slot[];
  /** acc += x in place, then rmsNorm of acc: the residual sum and the norm that reads it, in one pass over memory. */
  addRmsNorm(acc: Slot, x: Slot, w: Slot, epsilon: number): [y: Slot, rstd: Slot];
  /** acc += rmsNormBackward's dx, in place → [] or [dw].  x is the sum that was normalised. */
  addRmsNormBackward(acc: Slot, g: Slot, x: Slot, w: Slot, rstd: Slot, needsW: boolean): Slot[];
  /** cos and sin [N, P] f32 of positions i32 [N] times the P frequencies, times `scale`; angles in f64. */
  ropeTable(positions: Slot, frequencies: Float64Array, scale: number): [cos: Slot, sin: Slot];
  /** Rotates the first 2P channels of each head, halves paired (i, i+P).  x [N, H·headDim]; inverse = transpose. */
  rope(x: Slot, cos: Slot, sin: Slot, headDim: number, inverse: boolean): Slot;
  /** Softmax attention without a T×T buffer.  q [N,Hq·d], k v [M,Hk·d] → [o [N,Hq·d], lse [N,Hq]]; rows no segment names are 0. */
  attention(q: Slot, k: Slot, v: Slot, layout: AttentionLayout, options: AttentionOptions): [o: Slot, lse: Slot];
  /** → [dq, dk, dv] */
  attentionBackward(
    g: Slot,
    q: Slot,
    k: Slot,
    v: Slot,
    o: Slot,
    lse: Slot,
    layout: AttentionLayout,
    options: AttentionOptions,
  ): [dq: Slot, dk: Slot, dv: Slot];
  /** silu(gate) ⊙ up */
  swiglu(gate: Slot, up: Slot): Slot;
  swigluBackward(g: Slot, gate: Slot, up: Slot): [dgate: Slot, dup: Slot];
  /** f(x), elementwise: max(x, 0), x·σ(x) or tanh x. */
  activate(kind: ActivationKind, x: Slot): Slot;
  /** g · f′(x); relu′(0) = 0. */
  activateBackward(kind: ActivationKind, g: Slot, x: Slot): Slot;

  // ── block-diagonal matrices: B square blocks side by side in one matrix [b, B·b], which multiply rows [N, B·b] ────
  /** a − aᵀ of each whole matrix of a [B, b²], or of each upper triangle, row by row, of a [B, b(b−1)/2] → [b, B·b]. */
  skewBlocks(a: Slot, size: number): Slot;
  /** g − gᵀ of each block: its upper triangle [B, b(b−1)/2] where `packed`, else [B, b²]. */
  skewBlocksBackward(g: Slot, packed: boolean): Slot;
  /** R − I with R = (I − Q)(I + Q)⁻¹ of each block Q, which must be skew-symmetric.  [b, B·b] → [b, B·b] */
  cayleyBlocks(q: Slot): Slot;
  /** op(a)·op(b) of each block: nn a[N,B·b] b[b,B·b]; nt a[N,B·b], b transposed → [N,B·b]; tn a[N,B·b] b[N,B·b] → [b,B·b]. */
  matmulBlocks(layout: MatmulLayout, a: Slot, b: Slot, size: number): Slot;
  /** y[·, j] = x[·, order[j]] with a permutation order i32 [D]; the inverse: y[·, order[j]] = x[·, j]. */
  permuteColumns(x: Slot, order: Slot, inverse: boolean): Slot;

  // ── decompositions, in f64 inside ───────────────────────────────────────────────────────────────────────────────
  /**
   * The `rank` largest singular values of x [N, D] (any float dtype or codec) and their vectors: x ≈ u · diag(s) · vt.
   * Exact where `iterations` is −1; else by subspace iteration from a draw of `key` (Halko et al. 2011, algorithm 4.4).
   * → [u [N,rank], s [rank], vt [rank,D]], s falling. Signs of a pair of vectors are as they come.
   */
  svd(x: Slot, rank: number, iterations: number, key: RngKey): [u: Slot, s: Slot, vt: Slot];

  // ── losses ──────────────────────────────────────────────────────────────────────────────────────────────────────
  /** gelu(gate) ⊙ up, gelu(x) = ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) */
  geglu(gate: Slot, up: Slot): Slot;
  gegluBackward(g: Slot, gate: Slot, up: Slot): [dgate: Slot, dup: Slot];
  /**
   * −Σ log softmax(cap(h·wᵀ))[label] over rows whose label is not −100, in chunks that never hold all logits.
   * h [N,D], w [V,D], labels i32 [N] → [sum [1], dh?, dw?]: the gradients of the sum, made in the same pass when asked for.
   * cap(x) = softCap · tanh(x/softCap), or x where softCap is 0.
   */
  linearCrossEntropy(h: Slot, w: Slot, labels: Slot, softCap: number, needsH: boolean, needsW: boolean): Slot[];
  /** log softmax(cap(h·wᵀ))[label] for each row, 0 where the label is −100 → [logp [N], lse [N]] */
  linearLogProb(h: Slot, w: Slot, labels: Slot, softCap: number): [logp: Slot, lse: Slot];
  /** g [N] → [dh?, dw?] */
  linearLogProbBackward(
    g: Slot,
    h: Slot,
    w: Slot,
    labels: Slot,
    softCap: number,
    lse: Slot,
    needsH: boolean,
    needsW: boolean,
  ): Slot[];

  // ── randomness (Philox4x32-10) ──────────────────────────────────────────────────────────────────────────────────
  /** Zero with probability p, else x/(1−p). The backward pass is the same call on the gradient. */
  dropout(x: Slot, p: number, key: RngKey): Slot;
  /** f32 in [low, high) */
  uniform(shape: Shape, low: number, high: number, key: RngKey): Slot;
  normal(shape: Shape, mean: number, std: number, key: RngKey): Slot;

  // ── optimizers: all tensors of a group in one call, in place ────────────────────────────────────────────────────
  /** √Σ‖gᵢ‖² → [1] */
  gradNorm(grads: readonly Slot[]): Slot;
  /** norm [1] → [scale [1] = min(1, maxNorm/(norm+1e-6)) (1 if maxNorm is 0), skip [1] = 1 where norm is not finite, else 0] */
  clipFactor(norm: Slot, maxNorm: number): [scale: Slot, skip: Slot];
  /** Gradients are multiplied by scale[0]; nothing changes, `step` neither, where skip[0] ≠ 0. step [1] f32 counts the updates made. */
  adamw(
    params: readonly Slot[],
    grads: readonly Slot[],
    m: readonly Slot[],
    v: readonly Slot[],
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: AdamWOptions,
  ): void;
  /** `momentum` is empty where options.momentum is 0. */
  sgd(
    params: readonly Slot[],
    grads: readonly Slot[],
    momentum: readonly Slot[],
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: SgdOptions,
  ): void;
  lion(
    params: readonly Slot[],
    grads: readonly Slot[],
    m: readonly Slot[],
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: LionOptions,
  ): void;
  /** Parameters [R,C] have moments rows [R] and columns [C]; a vector [C] has rows [0]. */
  adafactor(
    params: readonly Slot[],
    grads: readonly Slot[],
    rows: readonly Slot[],
    columns: readonly Slot[],
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: AdafactorOptions,
  ): void;
  /** `adamw` on moments in 8-bit codes, which are bitsandbytes'. */
  adamw8bit(
    params: readonly Slot[],
    grads: readonly Slot[],
    m: CodedMoments,
    v: CodedMoments,
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: AdamWOptions,
  ): void;
}
