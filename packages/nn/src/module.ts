import { isCodec, type Shape } from "@welltempered/kernels";
import { cast, type Tensor } from "@welltempered/tensor";

/** A named tensor of a module that outlives every scope. Frozen until `trainable` is set. */
export class Parameter {
  #tensor: Tensor;

  constructor(tensor: Tensor) {
    this.#tensor = tensor.engine.keep(tensor);
  }

  get tensor(): Tensor {
    return this.#tensor;
  }

  get shape(): Shape {
    return this.#tensor.shape;
  }

  get size(): number {
    return this.#tensor.size;
  }

  get grad(): Tensor | undefined {
    return this.#tensor.grad;
  }

  get trainable(): boolean {
    return this.#tensor.requiresGrad;
  }

  /** @throws {RangeError} for a weight in a codec, which has no elements to move */
  set trainable(value: boolean) {
    if (value && isCodec(this.#tensor.dtype)) throw new RangeError(`a ${this.#tensor.dtype} weight cannot be trained`);
    this.#tensor.requiresGrad = value;
  }

  /** Puts another tensor in its place, e.g. a merged weight, and disposes of the old one. */
  replace(tensor: Tensor): void {
    const { trainable } = this;
    this.#tensor.dispose();
    this.#tensor = tensor.engine.keep(tensor);
    this.trainable = trainable;
  }

  /** Turns a weight in a codec into f32; tells whether it was in one. */
  dequantize(): boolean {
    const { engine, dtype } = this.#tensor;
    if (!isCodec(dtype)) return false;
    engine.noGrad(() => engine.scope(() => this.replace(cast(this.#tensor, "f32"))));
    return true;
  }

  zeroGrad(): void {
    this.#tensor.grad?.dispose();
    this.#tensor.grad = undefined;
  }

  dispose(): void {
    this.#tensor.dispose();
  }
}

/**
 * A tree of parameters. Children and parameters are the own properties that hold one, or an array of modules, and the
 * property names are the names in the checkpoint (so `embed_tokens`, not `embedTokens`).
 */
export abstract class Module {
  /** Dropout acts while training only. */
  training = false;

  /** Whether hidden states that come from it are random while training. */
  get stochastic(): boolean {
    return false;
  }

  *children(): Generator<[string, Module]> {
    for (const [key, value] of Object.entries(this)) {
      if (value instanceof Module) yield [key, value];
      else if (Array.isArray(value)) {
        for (const [index, item] of value.entries()) if (item instanceof Module) yield [`${key}.${index}`, item];
      }
    }
  }

  /** Every module below with its path, this one first under the path given. */
  *namedModules(path = ""): Generator<[string, Module]> {
    yield [path, this];
    for (const [key, child] of this.children()) yield* child.namedModules(join(path, key));
  }

  /** Every parameter below with its path; a shared one (tied head) once, under its first path. */
  *namedParameters(): Generator<[string, Parameter]> {
    const seen = new Set<Parameter>();
    for (const [path, module] of this.namedModules()) {
      for (const [key, value] of Object.entries(module)) {
        if (!(value instanceof Parameter) || seen.has(value)) continue;
        seen.add(value);
        yield [join(path, key), value];
      }
    }
  }

  setTraining(training: boolean): void {
    for (const [, module] of this.namedModules()) module.training = training;
  }

  /** The module at a path such as `model.layers.0.self_attn`. */
  moduleAt(path: string): Module | undefined {
    const keys = path === "" ? [] : path.split(".");
    const found = keys.reduce<unknown>((place, key) => ownMember(place, key), this);
    return found instanceof Module ? found : undefined;
  }

  /** Puts `replacement` where `path` leads. @throws {RangeError} where nothing is there */
  replaceModule(path: string, replacement: Module): void {
    const cut = path.lastIndexOf(".");
    const parentPath = cut < 0 ? "" : path.slice(0, cut);
    const key = path.slice(cut + 1);
    const parent = this.moduleAt(parentPath);
    if (parent === undefined || !(Reflect.get(parent, key) instanceof Module))
      throw new RangeError(`there is no module ${path}`);
    Reflect.set(parent, key, replacement);
  }

  /** Turns every weight in a codec into f32; tells how many there were. */
  dequantize(): number {
    return [...this.namedParameters()].filter(([, parameter]) => parameter.dequantize()).length;
  }

  dispose(): void {
    for (const [, parameter] of this.namedParameters()) parameter.dispose();
  }
}

/** What a module or an array holds under a key of a path. */
const ownMember = (place: unknown, key: string): unknown =>
  (place instanceof Module || Array.isArray(place)) && Object.hasOwn(place, key) ? Reflect.get(place, key) : undefined;

const join = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);
