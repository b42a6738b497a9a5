// A model folder that transformers saved in bitsandbytes' int8: codes, scales of their rows (SCB) and the number of their
// layout become one tensor in the codec.
import { nameList, printable, UserError } from "@welltempered/formats";
import type { LlmInt8Codec } from "@welltempered/kernels";
import { shownPath } from "./input.ts";
import { type TensorInfo, type WeightSource, withJoined } from "./weight-source.ts";

const scalesName = /^(.+)\.SCB$/;

/** The same source with every int8 weight as one tensor. @throws {UserError} where its parts do not fit */
export function joinLlmInt8(source: WeightSource, threshold: number): WeightSource {
  const layers = source.names().flatMap((name) => scalesName.exec(name)?.[1] ?? []);
  if (layers.length === 0) return source;
  const joined = new Map(layers.map((layer) => [`${layer}.weight`, new Int8Weight(source, layer, threshold)]));
  const parts = new Set(layers.flatMap((layer) => [`${layer}.SCB`, `${layer}.weight_format`]));
  return withJoined(source, joined, parts);
}

class Int8Weight implements TensorInfo {
  readonly dtype: LlmInt8Codec;
  readonly shape: readonly number[];
  readonly file: string;
  readonly #source: WeightSource;
  readonly #layer: string;

  constructor(source: WeightSource, layer: string, threshold: number) {
    this.#source = source;
    this.#layer = layer;
    this.dtype = `llm_int8/${threshold}`;
    if (!source.has(`${layer}.weight`)) this.#fail("is missing beside its scales");
    const { dtype, shape, file } = source.info(`${layer}.weight`);
    if (dtype !== "i8" || shape.length !== 2)
      this.#fail(`is ${dtype.toUpperCase()} [${shape.join(", ")}], not I8 rows`);
    this.shape = shape;
    this.file = file;
    this.#checkScales(shape[0] ?? 0);
    this.#checkFormat();
  }

  /** As the codec's bytes: codes, then scales. */
  read(): Uint8Array {
    return Buffer.concat([this.#source.read(`${this.#layer}.weight`), this.#source.read(`${this.#layer}.SCB`)]);
  }

  #fail(what: string): never {
    throw new UserError(
      `${shownPath(this.#source.path)}: tensor ${nameList([`${this.#layer}.weight`])} ${what}; quantise the model again`,
    );
  }

  #checkScales(rows: number): void {
    const { dtype, shape } = this.#source.info(`${this.#layer}.SCB`);
    if (dtype !== "f32" || shape.length !== 1 || shape[0] !== rows)
      this.#fail(`needs ${rows} F32 in SCB, got ${dtype.toUpperCase()} [${shape.join(", ")}]`);
  }

  /** 0 says that rows lie one after another; older versions had others, for the matrix units of some GPUs. */
  #checkFormat(): void {
    const name = `${this.#layer}.weight_format`;
    if (!this.#source.has(name)) return;
    const bytes = this.#source.read(name);
    if (bytes.length !== 1 || bytes[0] !== 0) this.#fail(`has a ${printable(name)} other than rows`);
  }
}
