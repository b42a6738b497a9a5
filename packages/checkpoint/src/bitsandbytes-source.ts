// A model folder that transformers saved in bitsandbytes' 4-bit codes: the tensors around each weight (scales, tables,
// a JSON text of what they are) become one tensor in the codec.
import { createHash } from "node:crypto";
import { isJsonObject, type JsonObject, nameList, parseJsonObject, printable, UserError } from "@welltempered/formats";
import { shownPath } from "./input.ts";
import { type TensorInfo, type WeightSource, withJoined } from "./weight-source.ts";

const stateName = /^(.+)\.quant_state\.bitsandbytes__(nf4|fp4)$/;
const blockSizes = [32, 64, 128, 256, 512, 1024, 2048, 4096];
/** Scales a block of double quantisation. */
const nested = 256;
/** SHA-256 of the tables a file may carry: those that the codecs mean. */
const tables: Readonly<Record<string, string>> = {
  nf4: "8501941daa1b8a90ad1bbfeb632e5101b5dddbc4bb52d6e55abcfd777e60c06a",
  fp4: "b830bcf8857895e5676b8e2ce608a60bb8af9b3ce6270073e9de34814196f09c",
  dynamic: "e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c",
};

interface QuantState {
  codec: string;
  double: boolean;
  shape: readonly [rows: number, columns: number];
  /** Of the scales. */
  blocks: number;
  offset: number;
}

/**
 * The threshold of outliers where weights are in int8, else undefined.
 * @throws {UserError} where config.json names a quantisation that is not read
 */
export function readQuantizationConfig(config: JsonObject, path: string): number | undefined {
  const found = config["quantization_config"] ?? undefined;
  if (found === undefined) return undefined;
  const settings = isJsonObject(found) ? found : {};
  const fail = (what: string): never => {
    throw new UserError(`${shownPath(path)}: quantization_config: ${what}`);
  };
  const { quant_method: method, load_in_4bit: four, load_in_8bit: eight } = settings;
  if (method !== "bitsandbytes" || (four !== true && eight !== true)) {
    const other = method === "bitsandbytes" ? "bitsandbytes in neither" : JSON.stringify(method ?? null);
    return fail(`quant_method is ${printable(other, 60)}; supported is bitsandbytes in 4 or 8 bits`);
  }
  if (four === true) return undefined;
  const threshold = settings["llm_int8_threshold"] ?? 6;
  if (typeof threshold === "number" && threshold >= 0 && threshold <= 65504) return threshold;
  return fail(`llm_int8_threshold is ${printable(JSON.stringify(threshold), 60)}; give a number from 0 to 65504`);
}

/** The same source with every 4-bit weight as one tensor. @throws {UserError} where its parts do not fit */
export function joinFourBit(source: WeightSource): WeightSource {
  const states = source.names().flatMap((name) => {
    const match = stateName.exec(name);
    return match === null ? [] : [{ weight: match[1] ?? "", table: match[2] ?? "", name }];
  });
  if (states.length === 0) return source;
  const joined = new Map(states.map((state) => [state.weight, new FourBitWeight(source, state)]));
  return withJoined(source, joined, new Set([...joined.values()].flatMap(({ parts }) => [...parts])));
}

class FourBitWeight implements TensorInfo {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly file: string;
  /** Names of the tensors that are not the weight itself. */
  readonly parts: ReadonlySet<string>;
  readonly #source: WeightSource;
  readonly #weight: string;
  readonly #table: string;
  readonly #state: QuantState;

  constructor(source: WeightSource, { weight, table, name }: { weight: string; table: string; name: string }) {
    this.#source = source;
    this.#weight = weight;
    this.#table = table;
    this.#state = this.#readState(name);
    this.dtype = this.#state.codec;
    this.shape = this.#state.shape;
    this.file = source.info(weight).file;
    const scales = this.#state.double ? ["absmax", "nested_absmax", "nested_quant_map"] : ["absmax"];
    this.parts = new Set([name, ...[...scales, "quant_map"].map((part) => `${weight}.${part}`)]);
    this.#checkParts();
  }

  /** As the codec's bytes: codes, then absmax, or its codes, their absmax and the offset. */
  read(): Uint8Array {
    const { double, offset } = this.#state;
    const parts = double
      ? [this.#weight, this.#part("absmax"), this.#part("nested_absmax")]
      : [this.#weight, this.#part("absmax")];
    const bytes = parts.map((part) => this.#source.read(part));
    return Buffer.concat(double ? [...bytes, new Uint8Array(Float32Array.of(offset).buffer)] : bytes);
  }

  #part(part: string): string {
    return `${this.#weight}.${part}`;
  }

  #fail(what: string): never {
    throw new UserError(
      `${shownPath(this.#source.path)}: tensor ${nameList([this.#weight])} ${what}; quantise the model again`,
    );
  }

  #readState(name: string): QuantState {
    const state = parseJsonObject(this.#source.read(name), {
      file: `${shownPath(this.#source.path)}: ${printable(name)}`,
    });
    const { blocksize: block, shape, nested_offset: offset, nested_blocksize: nestedBlock } = state;
    const size = blockSizes.find((known) => known === block) ?? this.#fail("has blocks of a size that is not known");
    if (state["quant_type"] !== this.#table) this.#fail("has another code in its quant_state than in its name");
    if (
      !Array.isArray(shape) ||
      shape.length !== 2 ||
      !shape.every((axis) => Number.isSafeInteger(axis) && Number(axis) >= 0)
    )
      this.#fail("has a quant_state without a shape of two axes");
    const double = nestedBlock !== undefined;
    if (double && (nestedBlock !== nested || typeof offset !== "number"))
      this.#fail(`has nested blocks of other than ${nested} scales, or no nested_offset`);
    const [rows, columns] = shape.map(Number) as [number, number];
    const blocks = Math.ceil((rows * columns) / size);
    const codec = `${this.#table}/${size}${double ? "/double" : ""}`;
    return { codec, double, shape: [rows, columns], blocks, offset: Number(offset ?? 0) };
  }

  #checkParts(): void {
    const { shape, double, blocks } = this.#state;
    this.#expect(this.#weight, "u8", Math.ceil((shape[0] * shape[1]) / 2));
    this.#expect(this.#part("absmax"), double ? "u8" : "f32", blocks);
    this.#expectTable("quant_map", this.#table, 16);
    if (!double) return;
    this.#expect(this.#part("nested_absmax"), "f32", Math.ceil(blocks / nested));
    this.#expectTable("nested_quant_map", "dynamic", 256);
  }

  #expect(name: string, dtype: string, length: number): void {
    if (!this.#source.has(name)) this.#fail(`lacks ${printable(name)}`);
    const { dtype: found, shape } = this.#source.info(name);
    if (found !== dtype || shape.reduce((product, axis) => product * axis, 1) !== length)
      this.#fail(
        `needs ${length} ${dtype.toUpperCase()} in ${printable(name)}, got ${found.toUpperCase()} [${shape.join(", ")}]`,
      );
  }

  #expectTable(part: string, table: string, length: number): void {
    const name = this.#part(part);
    this.#expect(name, "f32", length);
    const hash = createHash("sha256").update(this.#source.read(name)).digest("hex");
    if (hash !== tables[table]) this.#fail(`has a ${part} of its own`);
  }
}
