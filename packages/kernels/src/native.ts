// The Rust backend behind the contract. Each method hands over its arguments and turns what is thrown into KernelError.

import type {
  ActivationKind,
  AdafactorOptions,
  AdamWOptions,
  AttentionLayout,
  AttentionOptions,
  BinaryKind,
  CodedMoments,
  FileRange,
  KernelBackend,
  LionOptions,
  MatmulLayout,
  RngKey,
  SgdOptions,
  Shape,
  Slot,
  UnaryKind,
  StorageType,
} from "./backend.ts";
import { toKernelError } from "./errors.ts";

/** The class that the addon exports. */
export interface NativeLibrary extends Omit<
  KernelBackend,
  "name" | "description" | "read" | "availableBytes" | "uploadFrom"
> {
  name(): string;
  description(): string;
  byteLength(x: Slot): number;
  availableBytes(): number | null | undefined;
  /** Where there are files. */
  uploadFrom?(type: StorageType, shape: Shape, range: FileRange): Slot | null | undefined;
  /** `out` has exactly the tensor's bytes. */
  read(x: Slot, out: Uint8Array): void;
}

function call<T>(op: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw toKernelError(op, error);
  }
}

/** A backend in the native library; open one with `openBackend`. */
export class NativeBackend implements KernelBackend {
  readonly name: string;
  readonly description: string;
  readonly #native: NativeLibrary;

  constructor(native: NativeLibrary) {
    this.#native = native;
    this.name = native.name();
    this.description = native.description();
  }

  alloc(type: StorageType, shape: Shape): Slot {
    return call("alloc", () => this.#native.alloc(type, [...shape]));
  }

  upload(type: StorageType, shape: Shape, bytes: Uint8Array): Slot {
    return call("upload", () => this.#native.upload(type, [...shape], bytes));
  }

  uploadFrom(type: StorageType, shape: Shape, range: FileRange): Slot | undefined {
    return call("uploadFrom", () => this.#native.uploadFrom?.(type, [...shape], range) ?? undefined);
  }

  write(x: Slot, bytes: Uint8Array): void {
    call("write", () => this.#native.write(x, bytes));
  }

  async read(x: Slot): Promise<Uint8Array> {
    return call("read", () => {
      const out = new Uint8Array(this.#native.byteLength(x));
      this.#native.read(x, out);
      return out;
    });
  }

  free(x: Slot): void {
    call("free", () => this.#native.free(x));
  }

  dtype(x: Slot): StorageType {
    return call("dtype", () => this.#native.dtype(x));
  }

  shape(x: Slot): number[] {
    return call("shape", () => this.#native.shape(x));
  }

  reshape(x: Slot, shape: Shape): Slot {
    return call("reshape", () => this.#native.reshape(x, [...shape]));
  }

  copy(x: Slot): Slot {
    return call("copy", () => this.#native.copy(x));
  }

  cast(x: Slot, type: StorageType): Slot {
    return call("cast", () => this.#native.cast(x, type));
  }

  liveTensors(): number {
    return call("liveTensors", () => this.#native.liveTensors());
  }

  liveBytes(): number {
    return call("liveBytes", () => this.#native.liveBytes());
  }

  availableBytes(): number | undefined {
    return call("availableBytes", () => this.#native.availableBytes() ?? undefined);
  }

  fill(x: Slot, value: number): void {
    call("fill", () => this.#native.fill(x, value));
  }

  binary(kind: BinaryKind, a: Slot, b: Slot): Slot {
    return call("binary", () => this.#native.binary(kind, a, b));
  }

  unary(kind: UnaryKind, x: Slot): Slot {
    return call("unary", () => this.#native.unary(kind, x));
  }

  scale(x: Slot, factor: number): Slot {
    return call("scale", () => this.#native.scale(x, factor));
  }

  scaleBy(x: Slot, s: Slot): Slot {
    return call("scaleBy", () => this.#native.scaleBy(x, s));
  }

  softCap(x: Slot, cap: number): Slot {
    return call("softCap", () => this.#native.softCap(x, cap));
  }

  accumulate(acc: Slot, x: Slot, factor: number): void {
    call("accumulate", () => this.#native.accumulate(acc, x, factor));
  }

  sum(x: Slot): Slot {
    return call("sum", () => this.#native.sum(x));
  }

  sumRows(x: Slot): Slot {
    return call("sumRows", () => this.#native.sumRows(x));
  }

  argmax(x: Slot): [index: Slot, value: Slot] {
    return call("argmax", () => this.#native.argmax(x));
  }

  takeRows(table: Slot, ids: Slot): Slot {
    return call("takeRows", () => this.#native.takeRows(table, ids));
  }

  scatterAddRows(g: Slot, ids: Slot, rows: number): Slot {
    return call("scatterAddRows", () => this.#native.scatterAddRows(g, ids, rows));
  }

  writeRows(dst: Slot, ids: Slot, src: Slot): void {
    call("writeRows", () => this.#native.writeRows(dst, ids, src));
  }

  splitColumns(x: Slot, widths: readonly number[]): Slot[] {
    return call("splitColumns", () => this.#native.splitColumns(x, [...widths]));
  }

  joinColumns(parts: readonly Slot[]): Slot {
    return call("joinColumns", () => this.#native.joinColumns([...parts]));
  }

  matmul(layout: MatmulLayout, a: Slot, b: Slot, alpha: number, into?: Slot): Slot {
    return call("matmul", () => this.#native.matmul(layout, a, b, alpha, into));
  }

  matmulLowRank(
    layout: Exclude<MatmulLayout, "tn">,
    a: Slot,
    b: Slot,
    u: Slot,
    v: Slot,
    factor: number,
    into?: Slot,
  ): Slot {
    return call("matmulLowRank", () => this.#native.matmulLowRank(layout, a, b, u, v, factor, into));
  }

  rmsNorm(x: Slot, w: Slot, epsilon: number): [y: Slot, rstd: Slot] {
    return call("rmsNorm", () => this.#native.rmsNorm(x, w, epsilon));
  }

  rmsNormBackward(g: Slot, x: Slot, w: Slot, rstd: Slot, needsW: boolean): Slot[] {
    return call("rmsNormBackward", () => this.#native.rmsNormBackward(g, x, w, rstd, needsW));
  }

  addRmsNorm(acc: Slot, x: Slot, w: Slot, epsilon: number): [y: Slot, rstd: Slot] {
    return call("addRmsNorm", () => this.#native.addRmsNorm(acc, x, w, epsilon));
  }

  addRmsNormBackward(acc: Slot, g: Slot, x: Slot, w: Slot, rstd: Slot, needsW: boolean): Slot[] {
    return call("addRmsNormBackward", () => this.#native.addRmsNormBackward(acc, g, x, w, rstd, needsW));
  }

  ropeTable(positions: Slot, frequencies: Float64Array, scale: number): [cos: Slot, sin: Slot] {
    return call("ropeTable", () => this.#native.ropeTable(positions, frequencies, scale));
  }

  rope(x: Slot, cos: Slot, sin: Slot, headDim: number, inverse: boolean): Slot {
    return call("rope", () => this.#native.rope(x, cos, sin, headDim, inverse));
  }

  attention(q: Slot, k: Slot, v: Slot, layout: AttentionLayout, options: AttentionOptions): [o: Slot, lse: Slot] {
    return call("attention", () => this.#native.attention(q, k, v, layout, options));
  }

  attentionBackward(
    g: Slot,
    q: Slot,
    k: Slot,
    v: Slot,
    o: Slot,
    lse: Slot,
    layout: AttentionLayout,
    options: AttentionOptions,
  ): [dq: Slot, dk: Slot, dv: Slot] {
    return call("attentionBackward", () => this.#native.attentionBackward(g, q, k, v, o, lse, layout, options));
  }

  swiglu(gate: Slot, up: Slot): Slot {
    return call("swiglu", () => this.#native.swiglu(gate, up));
  }

  swigluBackward(g: Slot, gate: Slot, up: Slot): [dgate: Slot, dup: Slot] {
    return call("swigluBackward", () => this.#native.swigluBackward(g, gate, up));
  }

  activate(kind: ActivationKind, x: Slot): Slot {
    return call("activate", () => this.#native.activate(kind, x));
  }

  activateBackward(kind: ActivationKind, g: Slot, x: Slot): Slot {
    return call("activateBackward", () => this.#native.activateBackward(kind, g, x));
  }

  skewBlocks(a: Slot, size: number): Slot {
    return call("skewBlocks", () => this.#native.skewBlocks(a, size));
  }

  skewBlocksBackward(g: Slot, packed: boolean): Slot {
    return call("skewBlocksBackward", () => this.#native.skewBlocksBackward(g, packed));
  }

  cayleyBlocks(q: Slot): Slot {
    return call("cayleyBlocks", () => this.#native.cayleyBlocks(q));
  }

  matmulBlocks(layout: MatmulLayout, a: Slot, b: Slot, size: number): Slot {
    return call("matmulBlocks", () => this.#native.matmulBlocks(layout, a, b, size));
  }

  permuteColumns(x: Slot, order: Slot, inverse: boolean): Slot {
    return call("permuteColumns", () => this.#native.permuteColumns(x, order, inverse));
  }

  svd(x: Slot, rank: number, iterations: number, key: RngKey): [u: Slot, s: Slot, vt: Slot] {
    return call("svd", () => this.#native.svd(x, rank, iterations, key));
  }

  geglu(gate: Slot, up: Slot): Slot {
    return call("geglu", () => this.#native.geglu(gate, up));
  }

  gegluBackward(g: Slot, gate: Slot, up: Slot): [dgate: Slot, dup: Slot] {
    return call("gegluBackward", () => this.#native.gegluBackward(g, gate, up));
  }

  linearCrossEntropy(h: Slot, w: Slot, labels: Slot, softCap: number, needsH: boolean, needsW: boolean): Slot[] {
    return call("linearCrossEntropy", () => this.#native.linearCrossEntropy(h, w, labels, softCap, needsH, needsW));
  }

  linearLogProb(h: Slot, w: Slot, labels: Slot, softCap: number): [logp: Slot, lse: Slot] {
    return call("linearLogProb", () => this.#native.linearLogProb(h, w, labels, softCap));
  }

  linearLogProbBackward(
    g: Slot,
    h: Slot,
    w: Slot,
    labels: Slot,
    softCap: number,
    lse: Slot,
    needsH: boolean,
    needsW: boolean,
  ): Slot[] {
    return call("linearLogProbBackward", () =>
      this.#native.linearLogProbBackward(g, h, w, labels, softCap, lse, needsH, needsW),
    );
  }

  dropout(x: Slot, p: number, key: RngKey): Slot {
    return call("dropout", () => this.#native.dropout(x, p, key));
  }

  uniform(shape: Shape, low: number, high: number, key: RngKey): Slot {
    return call("uniform", () => this.#native.uniform([...shape], low, high, key));
  }

  normal(shape: Shape, mean: number, std: number, key: RngKey): Slot {
    return call("normal", () => this.#native.normal([...shape], mean, std, key));
  }

  gradNorm(grads: readonly Slot[]): Slot {
    return call("gradNorm", () => this.#native.gradNorm([...grads]));
  }

  clipFactor(norm: Slot, maxNorm: number): [scale: Slot, skip: Slot] {
    return call("clipFactor", () => this.#native.clipFactor(norm, maxNorm));
  }

  adamw(
    params: readonly Slot[],
    grads: readonly Slot[],
    m: readonly Slot[],
    v: readonly Slot[],
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: AdamWOptions,
  ): void {
    call("adamw", () => this.#native.adamw([...params], [...grads], [...m], [...v], step, scale, skip, options));
  }

  sgd(
    params: readonly Slot[],
    grads: readonly Slot[],
    momentum: readonly Slot[],
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: SgdOptions,
  ): void {
    call("sgd", () => this.#native.sgd([...params], [...grads], [...momentum], step, scale, skip, options));
  }

  lion(
    params: readonly Slot[],
    grads: readonly Slot[],
    m: readonly Slot[],
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: LionOptions,
  ): void {
    call("lion", () => this.#native.lion([...params], [...grads], [...m], step, scale, skip, options));
  }

  adafactor(
    params: readonly Slot[],
    grads: readonly Slot[],
    rows: readonly Slot[],
    columns: readonly Slot[],
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: AdafactorOptions,
  ): void {
    call("adafactor", () =>
      this.#native.adafactor([...params], [...grads], [...rows], [...columns], step, scale, skip, options),
    );
  }

  adamw8bit(
    params: readonly Slot[],
    grads: readonly Slot[],
    m: CodedMoments,
    v: CodedMoments,
    step: Slot,
    scale: Slot,
    skip: Slot,
    options: AdamWOptions,
  ): void {
    call("adamw8bit", () => this.#native.adamw8bit([...params], [...grads], m, v, step, scale, skip, options));
  }
}
