// An adapter on a model: what it wraps, what it trains, its tensors under peft's names, and merging.

import { Embedding, Linear, Parameter, RmsNorm, type CausalLM, type Module } from "@welltempered/nn";
import type { Shape, Tensor } from "@welltempered/tensor";
import { isOfAdapters, type BottleneckConfig } from "./bottleneck/config.ts";
import { bottleneck } from "./bottleneck/method.ts";
import { AdapterError } from "./errors.ts";
import type { BoftConfig } from "./boft/config.ts";
import { boft } from "./boft/method.ts";
import type { Ia3Config } from "./ia3/config.ts";
import { ia3 } from "./ia3/method.ts";
import type { LohaConfig } from "./loha/config.ts";
import { loha } from "./loha/method.ts";
import type { LoraConfig } from "./lora/config.ts";
import { lora } from "./lora/method.ts";
import type {
  AdapterLayer,
  AdapterLibrary,
  AdapterPart,
  AttachedMethod,
  Attachment,
  Json,
  Method,
  NamedParameters,
  SharedTensors,
} from "./method.ts";
import type { OftConfig } from "./oft/config.ts";
import { oft } from "./oft/method.ts";
import type { PrefixTuningConfig } from "./prefix-tuning/config.ts";
import { prefixTuning } from "./prefix-tuning/method.ts";
import type { PromptTuningConfig } from "./prompt-tuning/config.ts";
import { promptTuning } from "./prompt-tuning/method.ts";
import { chooseModules, chooseProjections, leafNames } from "./targets.ts";
import type { VeraConfig } from "./vera/config.ts";
import { vera } from "./vera/method.ts";

export type AdapterConfig =
  | BoftConfig
  | BottleneckConfig
  | Ia3Config
  | LoraConfig
  | LohaConfig
  | OftConfig
  | PrefixTuningConfig
  | PromptTuningConfig
  | VeraConfig;
type AnyShared = SharedTensors | undefined;
type AnyMethod<C extends AdapterConfig> = Method<C, AnyShared> | AttachedMethod<C>;

/** `peft_type` → method: one line each. */
const methods = {
  LORA: lora,
  LOHA: loha,
  IA3: ia3,
  OFT: oft,
  BOFT: boft,
  VERA: vera,
  PREFIX_TUNING: prefixTuning,
  PROMPT_TUNING: promptTuning,
  BOTTLENECK: bottleneck,
} as const satisfies { [T in AdapterConfig["peftType"]]: AnyMethod<Extract<AdapterConfig, { peftType: T }>> };

/** What `peft_type` may be; files of another library have none. */
const peftTypes = Object.keys(methods).filter((type) => type !== "BOTTLENECK");

const isKnown = (type: unknown): type is AdapterConfig["peftType"] =>
  typeof type === "string" && Object.hasOwn(methods, type);

const methodOf = (type: AdapterConfig["peftType"]): AnyMethod<AdapterConfig> =>
  methods[type] as AnyMethod<AdapterConfig>;

/** Reads an `adapter_config.json`. @throws {AdapterError} naming the key */
export function readAdapterConfig(json: Json): AdapterConfig {
  const type = isOfAdapters(json) ? "BOTTLENECK" : json["peft_type"];
  if (!isKnown(type))
    throw new AdapterError(`peft_type is ${JSON.stringify(type)}; supported is ${peftTypes.join(", ")}`);
  return methodOf(type).read(json);
}

/** Whether an adapter can become part of the base weights. */
export const isMergeable = ({ peftType }: AdapterConfig): boolean => "wrap" in methodOf(peftType);

export class Adapter {
  readonly config: AdapterConfig;
  readonly #model: CausalLM;
  readonly #layers: ReadonlyMap<string, AdapterLayer>;
  readonly #shared: AnyShared;
  /** What the adapter puts into the model, and what stood in those places before. */
  readonly #modules: ReadonlyMap<string, Module>;
  readonly #originals: ReadonlyMap<string, Module>;
  readonly #copies: ReadonlyMap<string, Module & { weight: Parameter; bias?: Parameter | undefined }>;
  readonly #attached: Attachment | undefined;

  /** `tokenize` is for methods that may start from a text. @throws {AdapterError} */
  constructor(model: CausalLM, config: AdapterConfig, tokenize?: (text: string) => readonly number[]) {
    const method = methodOf(config.peftType);
    this.config = config;
    this.#model = model;
    for (const [, parameter] of model.namedParameters()) parameter.trainable = false;
    const projections = "wrap" in method ? chooseProjections(model, config.targetModules) : [];
    const copied = chooseModules(model, config.modulesToSave);
    const copiedPaths = new Set(copied.map(([path]) => path));
    this.#copies = new Map(copied.map(([path, module]) => [path, trainableCopy(path, module)]));
    const wrapped = projections.filter(([path]) => !copiedPaths.has(path));
    const linears = wrapped.map(([, linear]) => linear);
    this.#shared = "wrap" in method ? method.share?.(linears, config) : undefined;
    this.#layers = new Map(
      wrapped.map(([path, linear]) => [
        path,
        (method as Method<AdapterConfig, AnyShared>).wrap(path, linear, config, this.#shared),
      ]),
    );
    this.#attached = "attach" in method ? method.attach(model, config, tokenize) : undefined;
    this.#modules = new Map([...this.#copies, ...this.#layers, ...(this.#attached?.modules ?? [])]);
    this.#originals = new Map([...this.#modules.keys()].map((path) => [path, moduleOf(model, path)]));
    this.#put(this.#modules);
  }

  #put(modules: ReadonlyMap<string, Module>): void {
    for (const [path, module] of modules) this.#model.replaceModule(path, module);
  }

  /** What `body` gives on the model as it was before this adapter: the reference of a preference loss. */
  without<T>(body: () => T): T {
    const { prefix } = this.#model;
    this.#model.prefix = undefined;
    this.#put(this.#originals);
    try {
      return body();
    } finally {
      this.#put(this.#modules);
      this.#model.prefix = prefix;
    }
  }

  /** What trains and what the layers share, with the names peft gives their tensors. */
  tensors(): Generator<readonly [name: string, parameter: Parameter]> {
    return this.#named((part) => part.adapterTensors());
  }

  *#named(of: (part: AdapterPart) => NamedParameters): Generator<readonly [name: string, parameter: Parameter]> {
    if (this.#attached !== undefined) yield* of(this.#attached);
    if (this.#shared !== undefined) yield* this.#shared.adapterTensors();
    for (const [path, layer] of this.#layers) {
      for (const [name, parameter] of of(layer)) yield [`base_model.model.${path}.${name}`, parameter];
    }
    for (const [path, { weight, bias }] of this.#copies) {
      yield [`base_model.model.${path}.weight`, weight];
      if (bias !== undefined) yield [`base_model.model.${path}.bias`, bias];
    }
  }

  /** What an adapter file holds; the caller disposes of those that are not among `tensors()`. */
  fileTensors(): NamedParameters {
    return [...this.#named((part) => part.fileTensors?.() ?? part.adapterTensors())];
  }

  /** The library whose file format the adapter has. */
  get library(): AdapterLibrary {
    return methodOf(this.config.peftType).library ?? "peft";
  }

  /** Whether checkpoints need a file of their own for what trains. */
  get isDerived(): boolean {
    return [this.#attached, ...this.#layers.values()].some((part) => part?.fileTensors !== undefined);
  }

  /** Shapes that an adapter file for this model must hold. */
  expected(): Map<string, Shape> {
    return new Map([...this.tensors()].map(([name, { shape }]) => [name, shape]));
  }

  /** Fills every tensor from a file; `load` gives each as f32. */
  load(load: (name: string, shape: Shape) => Tensor): void {
    for (const [name, parameter] of this.tensors()) {
      const { engine } = parameter.tensor;
      engine.noGrad(() => engine.scope(() => parameter.replace(load(name, parameter.shape))));
    }
  }

  /** The `adapter_config.json` that peft 0.21 reads. */
  toJson(baseModel: string): Json {
    return methodOf(this.config.peftType).write(this.config, leafNames([...this.#layers]), baseModel);
  }

  /**
   * Writes the adapter into the base weights and takes it off the model. A codec is too coarse for what is added, so all
   * weights that are in one become f32 first; tells how many. @throws {AdapterError} where it cannot be
   */
  merge(): number {
    if (!isMergeable(this.config))
      throw new AdapterError(`${this.config.peftType} has no place in the base weights and cannot be merged`);
    const dequantized = this.#model.dequantize();
    for (const [path, layer] of this.#layers) this.#model.replaceModule(path, layer.merge());
    this.#shared?.dispose();
    for (const [, { weight, bias }] of this.#copies) {
      weight.trainable = false;
      if (bias !== undefined) bias.trainable = false;
    }
    return dequantized;
  }
}

function moduleOf(model: CausalLM, path: string): Module {
  const module = model.moduleAt(path);
  if (module === undefined) throw new AdapterError(`the model has no module ${path}`);
  return module;
}

function trainableCopy(path: string, module: Module): Module & { weight: Parameter; bias?: Parameter | undefined } {
  if (module instanceof Linear)
    return new Linear(copyOf(module.weight), module.bias === undefined ? undefined : copyOf(module.bias));
  if (module instanceof Embedding) return new Embedding(copyOf(module.weight));
  if (module instanceof RmsNorm) return new RmsNorm(copyOf(module.weight), module.epsilon, module.offset);
  throw new AdapterError(
    `${path} cannot be trained in full beside an adapter; name an embedding, a projection or a norm`,
  );
}

function copyOf(parameter: Parameter): Parameter {
  const { engine, slot, dtype } = parameter.tensor;
  const copy = new Parameter(
    engine.adopt(dtype === "f32" ? engine.backend.copy(slot) : engine.backend.cast(slot, "f32")),
  );
  copy.trainable = true;
  return copy;
}
