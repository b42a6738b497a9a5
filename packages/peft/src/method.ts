// What a PEFT method provides: a folder `<method>/` with its configuration and its layer, and one line in adapter.ts.

import type { CausalLM, Linear, Module, Parameter, Projection } from "@welltempered/nn";

export type Json = Readonly<Record<string, unknown>>;

/** Fields that every method's configuration has. */
export interface MethodConfig {
  /** As `adapter_config.json` names the method. */
  peftType: string;
  /** Names of projections (last path segments or longer suffixes), or "all-linear": every one but the head. */
  targetModules: readonly string[] | "all-linear";
  /** Modules trained and saved in full beside the adapter. */
  modulesToSave: readonly string[];
}

/** Parameters of an adapter under the names of its file. */
export type NamedParameters = readonly (readonly [name: string, parameter: Parameter])[];

/** What an adapter consists of, wherever it sits. */
export interface AdapterPart {
  /** What trains. */
  adapterTensors(): NamedParameters;
  /**
   * What the file holds where that is made from what trains: made anew with each call but for what is in
   * `adapterTensors` too; the caller disposes of it. Checkpoints hold what trains beside it.
   */
  readonly fileTensors?: (() => NamedParameters) | undefined;
}

/** A projection with an adapter around it; names follow the module's path in peft's files, as "lora_A.weight". */
export interface AdapterLayer extends Projection, AdapterPart {
  /** Writes the adapter into the base weight, frees its own tensors and returns the base. */
  merge(): Linear;
}

/** A Python library that loads what we write. */
export type AdapterLibrary = "peft" | "adapters";

export interface ConfigFormat<C extends MethodConfig> {
  /** Whose file format it is, where not peft's. */
  library?: AdapterLibrary;
  /** Reads an `adapter_config.json` of peft. @throws {AdapterError} naming the key */
  read(json: Json): C;
  /** The `adapter_config.json` that peft 0.21 writes. */
  write(config: C, targetModules: readonly string[], baseModel: string): Json;
}

/**
 * What belongs to a whole adapter and not to one of its layers. A layer that uses a parameter of it holds that as a
 * property of its own, by which the model knows, trains and disposes of it once.
 */
export interface SharedTensors {
  /** What the file holds, under whole names. */
  adapterTensors(): NamedParameters;
  /** Called when all layers are merged. */
  dispose(): void;
}

/** `S` is what the layers of one adapter share; most share nothing. */
export interface Method<
  C extends MethodConfig,
  S extends SharedTensors | undefined = undefined,
> extends ConfigFormat<C> {
  /** Made once, before the layers, from all the projections that get one. @throws {AdapterError} */
  share?(linears: readonly Linear[], config: C): S;
  /** The layer that takes the place of the projection at `path`. @throws {AdapterError} */
  wrap(path: string, linear: Linear, config: C, shared: S): AdapterLayer;
}

/**
 * A method that wraps no projection. It hangs a module on one of the model's places for that: `prefix` in front of every
 * sequence (`VirtualTokens`, `KeyValuePrefix`), or a `Residual` after a sub-layer. It is never merged.
 */
export interface AttachedMethod<C extends MethodConfig> extends ConfigFormat<C> {
  /** `tokenize` is there where a new adapter may start from a text. @throws {AdapterError} */
  attach(model: CausalLM, config: C, tokenize?: (text: string) => readonly number[]): Attachment;
}

/** What a method attached to a model; names are whole. */
export interface Attachment extends AdapterPart {
  /** What takes the place of the model's own modules, by path. */
  modules?: ReadonlyMap<string, Module>;
}
