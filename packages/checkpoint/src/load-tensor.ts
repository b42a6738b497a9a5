// From files into the backend's memory.
import {
  ggufCodecs,
  type BitsandbytesCodec,
  type DType,
  type GgufCodec,
  type KernelBackend,
  type Slot,
} from "@welltempered/kernels";
import { nameList, UserError } from "@welltempered/formats";
import { type Scratch, shownPath } from "./input.ts";
import type { StoredDtype, WeightSource } from "./weight-source.ts";

/** Stored as a tensor dtype of the backend. */
export const plainDtypes: readonly DType[] = ["f32", "bf16", "f16"];
/** GGUF blocks, which a weight stays in. */
export const blockCodecs: readonly GgufCodec[] = ggufCodecs;

/** Whether a source has joined the tensor from bitsandbytes' parts. */
export const isBitsandbytes = (dtype: StoredDtype): dtype is BitsandbytesCodec => /^(nf4|fp4|llm_int8)\//.test(dtype);

/**
 * Uploads one tensor as it is stored: f32, bf16, f16 or in a codec, from the file itself or read through `scratch`.
 * The caller owns the slot.
 */
export function loadTensor(backend: KernelBackend, source: WeightSource, name: string, scratch?: Scratch): Slot {
  const { dtype, shape, file } = source.info(name);
  const type = isBitsandbytes(dtype) ? dtype : [...plainDtypes, ...blockCodecs].find((known) => known === dtype);
  if (type === undefined) throw unsupported(file, name, dtype);
  const range = source.range(name);
  const slot = range === undefined ? undefined : backend.uploadFrom(type, shape, range);
  return slot ?? backend.upload(type, shape, source.read(name, scratch));
}

function unsupported(file: string, name: string, dtype: string): UserError {
  const supported = [...plainDtypes, ...blockCodecs].join(", ").toUpperCase();
  return new UserError(
    `${shownPath(file)}: tensor ${nameList([name])} is ${dtype.toUpperCase()}; convert it to one of ${supported}`,
  );
}

export interface ExpectedTensor {
  shape: readonly number[];
}

export interface CheckOptions {
  /** May be there although not expected, or absent although expected: the head of a tied model. */
  optional?: ReadonlySet<string>;
}

/** Compares a source with what a model needs; throws a UserError that lists at most five names and their number. */
export function checkWeights(
  source: WeightSource,
  expected: ReadonlyMap<string, ExpectedTensor>,
  options: CheckOptions = {},
): void {
  const isOptional = (name: string): boolean => options.optional?.has(name) === true;
  const missing = [...expected.keys()].filter((name) => !source.has(name) && !isOptional(name));
  if (missing.length > 0)
    throw mismatch(source, missing, "missing", "fetch the model again, or correct its config.json");
  const extra = source
    .names()
    .filter((name) => !expected.has(name) && !isOptional(name) && !name.endsWith("rotary_emb.inv_freq"));
  if (extra.length > 0)
    throw mismatch(
      source,
      extra,
      "not known to this architecture",
      "check architectures and the layer count in config.json",
    );
  checkShapes(source, expected);
}

function mismatch(source: WeightSource, names: readonly string[], what: string, hint: string): UserError {
  const count = names.length === 1 ? "1 tensor is" : `${names.length} tensors are`;
  return new UserError(`${shownPath(source.path)}: ${count} ${what}: ${nameList(names)}; ${hint}`);
}

function checkShapes(source: WeightSource, expected: ReadonlyMap<string, ExpectedTensor>): void {
  const present = [...expected].filter(([name]) => source.has(name));
  const wrong = present.filter(([name, { shape }]) => !sameShape(source.info(name).shape, shape));
  if (wrong.length > 0) {
    const texts = wrong.map(
      ([name, { shape }]) => `${name} [${source.info(name).shape.join(", ")}] instead of [${shape.join(", ")}]`,
    );
    throw mismatch(source, texts, "of the wrong shape", "correct config.json");
  }
  const known: readonly string[] = [...plainDtypes, ...blockCodecs];
  const bad = present.find(
    ([name]) => !known.includes(source.info(name).dtype) && !isBitsandbytes(source.info(name).dtype),
  );
  if (bad) throw unsupported(source.info(bad[0]).file, bad[0], source.info(bad[0]).dtype);
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
