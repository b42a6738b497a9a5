import { Parameter, type Linear } from "@welltempered/nn";
import type { Engine } from "@welltempered/tensor";
import { AdapterError } from "../errors.ts";
import type { SharedTensors } from "../method.ts";
import type { VeraConfig } from "./config.ts";
import { MersenneTwister } from "./mersenne-twister.ts";

/** The frozen random matrices of all layers, A [r, widest in] and B [widest out, r]; a layer uses a corner of each. */
export class VeraProjections implements SharedTensors {
  readonly vera_A: Parameter;
  readonly vera_B: Parameter;
  readonly #saved: boolean;

  /** @throws {AdapterError} where no projection is left to adapt */
  constructor(linears: readonly Linear[], { r, prngKey, saveProjection }: VeraConfig) {
    const [first] = linears;
    if (first === undefined) throw new AdapterError("VeRA has no projection to adapt: all targets are trained in full");
    const { engine } = first.weight.tensor;
    const numbers = new MersenneTwister(prngKey);
    const drawn = (rows: number, columns: number): Parameter => new Parameter(kaiming(engine, numbers, rows, columns));
    this.vera_A = drawn(r, Math.max(...linears.map(({ inFeatures }) => inFeatures)));
    this.vera_B = drawn(Math.max(...linears.map(({ outFeatures }) => outFeatures)), r);
    this.#saved = saveProjection;
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    if (!this.#saved) return [];
    return [
      ["base_model.vera_A", this.vera_A],
      ["base_model.vera_B", this.vera_B],
    ];
  }

  dispose(): void {
    this.vera_A.dispose();
    this.vera_B.dispose();
  }
}

/** Kaiming uniform (He et al. 2015): ±√(6/in). */
const kaiming = (engine: Engine, numbers: MersenneTwister, rows: number, columns: number) =>
  engine.tensor(numbers.uniform(rows * columns, Math.sqrt(3) * (Math.SQRT2 / Math.sqrt(columns))), [rows, columns]);
