// What a PEFT method provides: a folder `<method>/` with its configuration and its layer, and one line in adapter.ts.

import type { Linear, Parameter, Projection } from "@welltempered/nn";

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

/** A projection with an adapter around it. */
export interface AdapterLayer extends Projection {
  /** What trains, under the names that follow the module's path in peft's files, as "lora_A.weight". */
  adapterTensors(): readonly (readonly [name: string, parameter: Parameter])[];
  /** Writes the adapter into the base weight, frees its own tensors and returns the base. */
  merge(): Linear;
}

export interface Method<C extends MethodConfig> {
  /** Reads an `adapter_config.json` of peft. @throws {AdapterError} naming the key */
  read(json: Json): C;
  /** The `adapter_config.json` that peft 0.21 writes. */
  write(config: C, targetModules: readonly string[], baseModel: string): Json;
  /** The layer that takes the place of the projection at `path`. @throws {AdapterError} */
  wrap(path: string, linear: Linear, config: C): AdapterLayer;
}
