// An adapter on a model: what it wraps, what it trains, its tensors under peft's names, and merging.

import { Embedding, Linear, Parameter, RmsNorm, type CausalLM, type Module } from "@welltempered/nn";
import type { Shape, Tensor } from "@welltempered/tensor";
import { AdapterError } from "./errors.ts";
import type { LoraConfig } from "./lora/config.ts";
import { lora } from "./lora/method.ts";
import type { AdapterLayer, Json, Method } from "./method.ts";
import { chooseModules, chooseProjections, leafNames } from "./targets.ts";

export type AdapterConfig = LoraConfig;

/** `peft_type` → method: one line each. */
const methods = {
  LORA: lora,
} as const satisfies { [T in AdapterConfig["peftType"]]: Method<Extract<AdapterConfig, { peftType: T }>> };

const isKnown = (type: unknown): type is AdapterConfig["peftType"] =>
  typeof type === "string" && Object.hasOwn(methods, type);

const methodOf = (type: AdapterConfig["peftType"]): Method<AdapterConfig> => methods[type] as Method<AdapterConfig>;

/** Reads an `adapter_config.json`. @throws {AdapterError} naming the key */
export function readAdapterConfig(json: Json): AdapterConfig {
  const type = json["peft_type"];
  if (!isKnown(type))
    throw new AdapterError(`peft_type is ${JSON.stringify(type)}; supported is ${Object.keys(methods).join(", ")}`);
  return methodOf(type).read(json);
}

export class Adapter {
  readonly config: AdapterConfig;
  readonly #model: CausalLM;
  readonly #layers: ReadonlyMap<string, AdapterLayer>;
  readonly #copies: ReadonlyMap<string, Module & { weight: Parameter; bias?: Parameter | undefined }>;

  constructor(model: CausalLM, config: AdapterConfig) {
    this.config = config;
    this.#model = model;
    for (const [, parameter] of model.namedParameters()) parameter.trainable = false;
    const projections = chooseProjections(model, config.targetModules);
    const copied = chooseModules(model, config.modulesToSave);
    const copiedPaths = new Set(copied.map(([path]) => path));
    this.#copies = new Map(copied.map(([path, module]) => [path, trainableCopy(path, module)]));
    this.#layers = new Map(
      projections
        .filter(([path]) => !copiedPaths.has(path))
        .map(([path, linear]) => [path, methodOf(config.peftType).wrap(path, linear, config)]),
    );
    for (const [path, module] of [...this.#copies, ...this.#layers]) model.replaceModule(path, module);
  }

  /** Trainable parameters with the names peft gives their tensors. */
  *tensors(): Generator<[name: string, parameter: Parameter]> {
    for (const [path, layer] of this.#layers) {
      for (const [name, parameter] of layer.adapterTensors()) yield [`base_model.model.${path}.${name}`, parameter];
    }
    for (const [path, { weight, bias }] of this.#copies) {
      yield [`base_model.model.${path}.weight`, weight];
      if (bias !== undefined) yield [`base_model.model.${path}.bias`, bias];
    }
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
   * weights that are in one become f32 first; tells how many.
   */
  merge(): number {
    const dequantized = this.#model.dequantize();
    for (const [path, layer] of this.#layers) this.#model.replaceModule(path, layer.merge());
    for (const [, { weight, bias }] of this.#copies) {
      weight.trainable = false;
      if (bias !== undefined) bias.trainable = false;
    }
    return dequantized;
  }
}

function trainableCopy(path: string, module: Module): Module & { weight: Parameter; bias?: Parameter | undefined } {
  if (module instanceof Linear)
    return new Linear(copyOf(module.weight), module.bias === undefined ? undefined : copyOf(module.bias));
  if (module instanceof Embedding) return new Embedding(copyOf(module.weight));
  if (module instanceof RmsNorm) return new RmsNorm(copyOf(module.weight), module.epsilon);
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
