import { Embedding, Linear, RmsNorm } from "@welltempered/nn";
import type { Engine, Shape } from "@welltempered/tensor";
import { parameter, type Weights } from "./model.ts";

/** Makes modules from the checkpoint. Shapes, and which projections have a bias, are said in the table of tensors alone. */
export class ModuleSource {
  readonly #engine: Engine;
  readonly #weights: Weights;
  readonly #table: ReadonlyMap<string, Shape>;
  readonly #path: string;

  constructor(engine: Engine, weights: Weights, table: ReadonlyMap<string, Shape>, path = "") {
    this.#engine = engine;
    this.#weights = weights;
    this.#table = table;
    this.#path = path;
  }

  /** The same for the module of this name below. */
  at(name: string): ModuleSource {
    return new ModuleSource(this.#engine, this.#weights, this.#table, this.#full(name));
  }

  linear(name: string): Linear {
    const bias = this.#table.has(this.#full(`${name}.bias`)) ? this.#parameter(`${name}.bias`) : undefined;
    return new Linear(this.#parameter(`${name}.weight`), bias);
  }

  norm(name: string, epsilon: number, offset = 0): RmsNorm {
    return new RmsNorm(this.#parameter(`${name}.weight`), epsilon, offset);
  }

  embedding(name: string): Embedding {
    return new Embedding(this.#parameter(`${name}.weight`));
  }

  #full(name: string): string {
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }

  #parameter(name: string): ReturnType<typeof parameter> {
    const full = this.#full(name);
    const shape = this.#table.get(full);
    if (shape === undefined) throw new RangeError(`the table of tensors has no ${full}`);
    return parameter(this.#engine, this.#weights, full, shape);
  }
}
