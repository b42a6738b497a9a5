// A backend without numbers. It knows the shape of every result, how many bytes live, and tells what each call costs, so
// that a model, an adapter or an optimizer can be built and stepped to see what it would take. Nothing is computed: what
// is read is zero. One method each of the contract, long as that is wide.

import type {
  ActivationKind,
  AttentionLayout,
  AttentionOptions,
  BinaryKind,
  CodedMoments,
  KernelBackend,
  MatmulLayout,
  Shape,
  Slot,
  StorageType,
  UnaryKind,
} from "../backend.ts";
import { Memory } from "./memory.ts";
import {
  attendedPairs,
  attentionFlop,
  attentionProducts,
  attentionScratch,
  headScratch,
  longestKeys,
  sizeOf,
  type Attended,
  type Product,
  type Work,
} from "./work.ts";
import { bytesOf } from "../storage.ts";

export class CountingBackend implements KernelBackend {
  readonly name = "counting";
  readonly description = "shapes, bytes and work without numbers";
  readonly memory: Memory = new Memory();
  readonly #onWork: (work: Work) => void;

  constructor(onWork: (work: Work) => void = () => {}) {
    this.#onWork = onWork;
  }

  // ── memory ──
  alloc(type: StorageType, shape: Shape): Slot {
    return this.#make("alloc", [], type, shape);
  }

  /** `bytes` may be empty but for integers. */
  upload(type: StorageType, shape: Shape, bytes: Uint8Array): Slot {
    const integers = type === "i32" ? new Int32Array(bytes.slice().buffer) : undefined;
    this.#tell({ op: "upload", bytes: 2 * bytesOf(type, shape) });
    return this.memory.add(type, shape, integers);
  }

  uploadFrom(type: StorageType, shape: Shape): Slot {
    this.#tell({ op: "uploadFrom", bytes: 2 * bytesOf(type, shape) });
    return this.memory.add(type, shape, undefined);
  }

  write(x: Slot): void {
    this.#touch("write", [x]);
  }

  async read(x: Slot): Promise<Uint8Array> {
    return new Uint8Array(this.#bytes(x));
  }

  free(x: Slot): void {
    this.memory.free(x);
  }

  dtype(x: Slot): StorageType {
    return this.memory.get(x).type;
  }

  shape(x: Slot): number[] {
    return [...this.memory.get(x).shape];
  }

  reshape(x: Slot, shape: Shape): Slot {
    return this.memory.share(x, shape);
  }

  copy(x: Slot): Slot {
    return this.#like("copy", x);
  }

  cast(x: Slot, type: StorageType): Slot {
    return this.#make("cast", [x], type, this.shape(x));
  }

  liveTensors(): number {
    return this.memory.tensors;
  }

  liveBytes(): number {
    return this.memory.bytes;
  }

  availableBytes(): undefined {
    return undefined;
  }

  // ── elementwise ──
  fill(x: Slot): void {
    this.#touch("fill", [x]);
  }

  binary(_kind: BinaryKind, a: Slot, b: Slot): Slot {
    return this.#like("binary", a, [b]);
  }

  unary(_kind: UnaryKind, x: Slot): Slot {
    return this.#like("unary", x);
  }

  scale(x: Slot): Slot {
    return this.#like("scale", x);
  }

  scaleBy(x: Slot): Slot {
    return this.#like("scaleBy", x);
  }

  softCap(x: Slot): Slot {
    return this.#like("softCap", x);
  }

  accumulate(acc: Slot, x: Slot): void {
    this.#touch("accumulate", [acc, acc, x]);
  }

  sum(x: Slot): Slot {
    return this.#make("sum", [x], this.#real(x), [1]);
  }

  sumRows(x: Slot): Slot {
    return this.#make("sumRows", [x], this.#real(x), [this.#columns(x)]);
  }

  argmax(x: Slot): [index: Slot, value: Slot] {
    const value = this.#make("argmax", [x], this.#real(x), [this.#rows(x)]);
    return [this.memory.add("i32", [this.#rows(x)]), value];
  }

  // ── rows ──
  takeRows(table: Slot, ids: Slot): Slot {
    const shape = [this.#rows(ids), this.#columns(table)];
    return this.#make("takeRows", [], this.#real(table), shape, bytesOf("f32", shape));
  }

  scatterAddRows(g: Slot, _ids: Slot, rows: number): Slot {
    return this.#make("scatterAddRows", [g, g], this.#real(g), [rows, this.#columns(g)]);
  }

  writeRows(_dst: Slot, _ids: Slot, src: Slot): void {
    this.#touch("writeRows", [src, src]);
  }

  splitColumns(x: Slot, widths: readonly number[]): Slot[] {
    this.#touch("splitColumns", [x, x]);
    return widths.map((width) => this.memory.add(this.dtype(x), [this.#rows(x), width]));
  }

  joinColumns(parts: readonly Slot[]): Slot {
    const [first] = parts as [Slot];
    const width = parts.reduce((sum, part) => sum + this.#columns(part), 0);
    return this.#make("joinColumns", parts, this.dtype(first), [this.#rows(first), width]);
  }

  // ── layers ──
  matmul(layout: MatmulLayout, a: Slot, b: Slot, _alpha: number, into?: Slot): Slot {
    return this.#product("matmul", layout, a, b, 0, into);
  }

  matmulLowRank(
    layout: Exclude<MatmulLayout, "tn">,
    a: Slot,
    b: Slot,
    u: Slot,
    _v: Slot,
    _factor: number,
    into?: Slot,
  ): Slot {
    return this.#product("matmulLowRank", layout, a, b, this.#columns(u), into);
  }

  rmsNorm(x: Slot, w: Slot): [y: Slot, rstd: Slot] {
    const y = this.#like("rmsNorm", x);
    return [y, this.memory.add(this.#real(x), [sizeOf(this.shape(x)) / this.#columns(w)])];
  }

  rmsNormBackward(g: Slot, x: Slot, w: Slot, _rstd: Slot, needsW: boolean): Slot[] {
    const dx = this.#like("rmsNormBackward", g, [x]);
    return needsW ? [dx, this.memory.add(this.#real(g), this.shape(w))] : [dx];
  }

  addRmsNorm(acc: Slot, x: Slot, w: Slot): [y: Slot, rstd: Slot] {
    const y = this.#like("addRmsNorm", acc, [acc, x]);
    return [y, this.memory.add(this.#real(acc), [sizeOf(this.shape(x)) / this.#columns(w)])];
  }

  addRmsNormBackward(acc: Slot, g: Slot, x: Slot, w: Slot, _rstd: Slot, needsW: boolean): Slot[] {
    this.#touch("addRmsNormBackward", [acc, acc, g, x]);
    return needsW ? [this.memory.add(this.#real(acc), this.shape(w))] : [];
  }

  ropeTable(positions: Slot, frequencies: Float64Array): [cos: Slot, sin: Slot] {
    const shape = [this.#rows(positions), frequencies.length];
    const make = (): Slot => this.#make("ropeTable", [], "f32", shape);
    return [make(), make()];
  }

  rope(x: Slot): Slot {
    return this.#like("rope", x);
  }

  attention(q: Slot, k: Slot, _v: Slot, layout: AttentionLayout, options: AttentionOptions): [o: Slot, lse: Slot] {
    this.#tell({
      op: "attention",
      attention: this.#attended(q, k, layout, options, attentionProducts.forward),
      bytes: 2 * (this.#bytes(q) + this.#bytes(k)),
    });
    const type = this.#real(q);
    const [rows, width] = [this.#rows(q), this.#columns(q)];
    return [this.memory.add(type, [rows, width]), this.memory.add(type, [rows, width / options.headDim])];
  }

  attentionBackward(
    _g: Slot,
    q: Slot,
    k: Slot,
    v: Slot,
    _o: Slot,
    lse: Slot,
    layout: AttentionLayout,
    options: AttentionOptions,
  ): [dq: Slot, dk: Slot, dv: Slot] {
    const attention = this.#attended(q, k, layout, options, attentionProducts.backward);
    this.#tell({
      op: "attentionBackward",
      attention,
      bytes: 4 * (this.#bytes(q) + this.#bytes(k)),
      scratch: attentionScratch(this.#rows(q), this.#columns(q), this.#columns(lse), attention.longest),
    });
    const like = (x: Slot): Slot => this.memory.add(this.#real(q), this.shape(x));
    return [like(q), like(k), like(v)];
  }

  swiglu(gate: Slot, up: Slot): Slot {
    return this.#like("swiglu", gate, [up]);
  }

  swigluBackward(g: Slot, gate: Slot, up: Slot): [dgate: Slot, dup: Slot] {
    return this.#gatedBackward("swigluBackward", g, gate, up);
  }

  geglu(gate: Slot, up: Slot): Slot {
    return this.#like("geglu", gate, [up]);
  }

  gegluBackward(g: Slot, gate: Slot, up: Slot): [dgate: Slot, dup: Slot] {
    return this.#gatedBackward("gegluBackward", g, gate, up);
  }

  activate(_kind: ActivationKind, x: Slot): Slot {
    return this.#like("activate", x);
  }

  activateBackward(_kind: ActivationKind, g: Slot, x: Slot): Slot {
    return this.#like("activateBackward", g, [x]);
  }

  // ── block-diagonal matrices ──
  skewBlocks(a: Slot, size: number): Slot {
    return this.#make("skewBlocks", [a], this.#real(a), [size, this.#rows(a) * size]);
  }

  skewBlocksBackward(g: Slot, packed: boolean): Slot {
    const size = this.#rows(g);
    const columns = packed ? (size * (size - 1)) / 2 : size * size;
    return this.#make("skewBlocksBackward", [g], this.#real(g), [this.#columns(g) / size, columns]);
  }

  /** A solution with as many right sides as unknowns: 2·b³ for each block, and 2/3·b³ to factor. */
  cayleyBlocks(q: Slot): Slot {
    const size = this.#rows(q);
    const product = { layout: "nn" as const, m: size, n: this.#columns(q), k: size, type: "f32" as const };
    this.#tell({ op: "cayleyBlocks", products: [product] });
    return this.memory.add(this.#real(q), this.shape(q));
  }

  matmulBlocks(layout: MatmulLayout, a: Slot, _b: Slot, size: number): Slot {
    const [m, width] = [this.#rows(a), this.#columns(a)];
    this.#tell({ op: "matmulBlocks", products: [{ layout, m, n: width, k: size, type: "f32" }] });
    return this.memory.add(this.#real(a), layout === "tn" ? [size, width] : [m, width]);
  }

  permuteColumns(x: Slot): Slot {
    return this.#like("permuteColumns", x);
  }

  // ── decompositions ──
  svd(x: Slot, rank: number): [u: Slot, s: Slot, vt: Slot] {
    const [rows, columns] = [this.#rows(x), this.#columns(x)];
    return [
      this.#make("svd", [x], "f32", [rows, rank]),
      this.#make("svd", [], "f32", [rank]),
      this.#make("svd", [], "f32", [rank, columns]),
    ];
  }

  // ── losses ──
  linearCrossEntropy(h: Slot, w: Slot, labels: Slot, _cap: number, needsH: boolean, needsW: boolean): Slot[] {
    this.#head("linearCrossEntropy", h, w, labels, needsH, needsW);
    return [this.memory.add(this.#real(h), [1]), ...this.#gradients(h, w, needsH, needsW)];
  }

  linearLogProb(h: Slot, w: Slot, labels: Slot): [logp: Slot, lse: Slot] {
    this.#head("linearLogProb", h, w, labels, false, false);
    const make = (): Slot => this.memory.add(this.#real(h), [this.#rows(h)]);
    return [make(), make()];
  }

  linearLogProbBackward(
    _g: Slot,
    h: Slot,
    w: Slot,
    labels: Slot,
    _softCap: number,
    _lse: Slot,
    needsH: boolean,
    needsW: boolean,
  ): Slot[] {
    this.#head("linearLogProbBackward", h, w, labels, needsH, needsW);
    return this.#gradients(h, w, needsH, needsW);
  }

  // ── randomness ──
  dropout(x: Slot): Slot {
    return this.#like("dropout", x);
  }

  uniform(shape: Shape): Slot {
    return this.#make("uniform", [], "f32", shape);
  }

  normal(shape: Shape): Slot {
    return this.#make("normal", [], "f32", shape);
  }

  // ── optimizers ──
  gradNorm(grads: readonly Slot[]): Slot {
    return this.#make("gradNorm", grads, grads[0] === undefined ? "f32" : this.#real(grads[0]), [1]);
  }

  clipFactor(norm: Slot): [scale: Slot, skip: Slot] {
    const make = (): Slot => this.memory.add(this.#real(norm), [1]);
    return [make(), make()];
  }

  adamw(params: readonly Slot[], grads: readonly Slot[], m: readonly Slot[], v: readonly Slot[]): void {
    this.#touch("adamw", [...params, ...params, ...grads, ...m, ...m, ...v, ...v]);
  }

  sgd(params: readonly Slot[], grads: readonly Slot[], momentum: readonly Slot[]): void {
    this.#touch("sgd", [...params, ...params, ...grads, ...momentum, ...momentum]);
  }

  lion(params: readonly Slot[], grads: readonly Slot[], m: readonly Slot[]): void {
    this.#touch("lion", [...params, ...params, ...grads, ...m, ...m]);
  }

  adafactor(params: readonly Slot[], grads: readonly Slot[]): void {
    this.#touch("adafactor", [...params, ...params, ...grads, ...grads, ...grads]);
  }

  adamw8bit(params: readonly Slot[], grads: readonly Slot[], m: CodedMoments, v: CodedMoments): void {
    this.#touch("adamw8bit", [...params, ...params, ...grads, ...m.codes, ...m.codes, ...v.codes, ...v.codes]);
  }

  #product(op: string, layout: MatmulLayout, a: Slot, b: Slot, rank: number, into: Slot | undefined): Slot {
    const [rows, columns] = [this.#rows(a), this.#columns(a)];
    const [m, k] = layout === "tn" ? [columns, rows] : [rows, columns];
    const n = layout === "nt" ? this.#rows(b) : this.#columns(b);
    this.#tell({ op, products: [{ layout, m, n, k, type: this.dtype(b), ...(rank > 0 ? { rank } : {}) }] });
    return into ?? this.memory.add(this.#real(a), [m, n]);
  }

  // ── what they share ──
  #tell(work: Partial<Work> & { op: string }): void {
    this.#onWork({ products: [], attention: undefined, bytes: 0, scratch: 0, ...work });
  }

  #touch(op: string, slots: readonly Slot[]): void {
    this.#tell({ op, bytes: slots.reduce((sum, slot) => sum + this.#bytes(slot), 0) });
  }

  /** A new tensor made from `inputs`, and `more` bytes that were read. */
  #make(op: string, inputs: readonly Slot[], type: StorageType, shape: Shape, more = 0): Slot {
    const read = inputs.reduce((sum, slot) => sum + this.#bytes(slot), more);
    this.#tell({ op, bytes: read + bytesOf(type, shape) });
    return this.memory.add(type, shape);
  }

  #like(op: string, x: Slot, others: readonly Slot[] = []): Slot {
    return this.#make(op, [x, ...others], this.dtype(x), this.shape(x));
  }

  #gatedBackward(op: string, g: Slot, gate: Slot, up: Slot): [dgate: Slot, dup: Slot] {
    this.#touch(op, [g, gate, up, gate, up]);
    return [this.memory.add(this.#real(g), this.shape(gate)), this.memory.add(this.#real(g), this.shape(up))];
  }

  #head(op: string, h: Slot, w: Slot, labels: Slot, needsH: boolean, needsW: boolean): void {
    const [vocabulary, width] = [this.#rows(w), this.#columns(w)];
    const rows = this.#integers(labels).reduce((count, label) => count + (label >= 0 ? 1 : 0), 0);
    const type = this.dtype(w);
    const products: Product[] = [{ layout: "nt", m: rows, n: vocabulary, k: width, type }];
    if (needsH) products.push({ layout: "nn", m: rows, n: width, k: vocabulary, type });
    if (needsW) products.push({ layout: "tn", m: vocabulary, n: width, k: rows, type: this.dtype(h) });
    // Logits become probabilities in place: written, and read and written again.
    this.#tell({ op, products, bytes: 12 * rows * vocabulary, scratch: headScratch(rows, width, vocabulary) });
  }

  #gradients(h: Slot, w: Slot, needsH: boolean, needsW: boolean): Slot[] {
    const like = (x: Slot): Slot => this.memory.add(this.#real(h), this.shape(x));
    return [...(needsH ? [like(h)] : []), ...(needsW ? [like(w)] : [])];
  }

  #attended(q: Slot, k: Slot, layout: Slot, { window, headDim }: AttentionOptions, products: number): Attended {
    const [segments, queries] = [this.#integers(layout), this.#columns(q)];
    const flop = attentionFlop(attendedPairs(segments, window), queries, products);
    return { flop, headDim, queries, keys: this.#columns(k), longest: longestKeys(segments) };
  }

  /** The dtype that results of x have. */
  #real(x: Slot): StorageType {
    return this.dtype(x) === "f64" ? "f64" : "f32";
  }

  #integers(x: Slot): Int32Array {
    return this.memory.get(x).integers ?? new Int32Array();
  }

  #bytes(x: Slot): number {
    const { type, shape } = this.memory.get(x);
    return bytesOf(type, shape);
  }

  #rows(x: Slot): number {
    return this.memory.get(x).shape[0] ?? 1;
  }

  #columns(x: Slot): number {
    return this.memory.get(x).shape.at(-1) ?? 1;
  }
}
