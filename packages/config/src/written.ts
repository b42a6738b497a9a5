// The configuration as it stands in the file: the same keys, before defaults that depend on other keys are filled in.
import type { KeySpec } from "./kinds.ts";
import type {
  DataConfig,
  FinetuningConfig,
  GeneratingConfig,
  MachineConfig,
  ModelConfig,
  TrainingConfig,
} from "./run-config.ts";

type Replace<T, R> = Omit<T, keyof R> & R;

export type WrittenModel = Replace<ModelConfig, { newSpecialTokensConfig: string | undefined }>;

export type WrittenData = Replace<Omit<DataConfig, "packingAsked">, { packing: boolean | undefined }>;

export type WrittenFinetuning = Replace<FinetuningConfig, { loraAlpha: number | undefined }>;

export type WrittenTraining = Replace<
  TrainingConfig,
  {
    optim: "adamw_torch" | "adamw_torch_fused" | "sgd";
    optimArgs: string | undefined;
    lrSchedulerKwargs: TrainingConfig["lrSchedulerKwargs"] | undefined;
    warmupRatio: number | undefined;
    evalSteps: number | undefined;
    greaterIsBetter: boolean | undefined;
    resumeFromCheckpoint: string | boolean | undefined;
  }
>;

export type WrittenGenerating = GeneratingConfig;
export type WrittenMachine = MachineConfig;

export interface WrittenConfig
  extends WrittenModel, WrittenData, WrittenFinetuning, WrittenTraining, WrittenGenerating, WrittenMachine {}

/** "adamBeta1" → "adam_beta1". */
export type SnakeCase<S extends string> = S extends `${infer C}${infer Rest}`
  ? `${C extends Lowercase<C> ? C : `_${Lowercase<C>}`}${SnakeCase<Rest>}`
  : S;

/** One entry per value of T: a key that is missing or has the wrong type does not compile. */
export type KeyTable<T> = { readonly [K in keyof T & string as SnakeCase<K>]: KeySpec<T[K]> };

/** "adam_beta1" → "adamBeta1": the only place where names are translated. */
export function camelCase(key: string): string {
  return key.replace(/_([a-z0-9])/g, (whole, letter: string) => (/\d/.test(letter) ? whole : letter.toUpperCase()));
}
