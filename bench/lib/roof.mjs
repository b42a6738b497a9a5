// What this CPU can do at most, probed in the run of a bench, so that its figures can be stated against it.
import { join } from "node:path";
import { root, run } from "../../tools/lib.mjs";
import { Child } from "./child.mjs";

/** A probe to ask between measurements. Build and source: crates/kernels/examples/roof.rs. */
export class RoofProbe {
  #child;

  constructor() {
    run("cargo", ["build", "--release", "--quiet", "-p", "kernels", "--example", "roof"]);
    this.#child = new Child(join(root, "target/release/examples/roof"), []);
  }

  /**
   * The best of `tries` that do so many operations each; in as much time as a product a busy neighbour meets both.
   * @returns { threads, fma?, bf16?, tiles?, read }: GFLOP/s in f32, of the bf16 dot product and the matrix unit, GB/s; all threads together
   */
  ask(threads, operations = 1e9, tries = 3) {
    return this.#child.ask([threads, operations, tries]);
  }

  close() {
    return this.#child.close();
  }
}

/** The roof now, once. */
export async function roof(threads) {
  const probe = new RoofProbe();
  const found = await probe.ask(threads);
  await probe.close();
  return found;
}
