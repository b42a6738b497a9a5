import { cast, Engine, type Tensor } from "@welltempered/tensor";
import { afterAll, expect, it } from "vitest";
import { growTable, type NewRows } from "../src/session/new-rows.ts";

const engine = Engine.open({ threads: 1 });
afterAll(() => expect(engine.liveTensors()).toBe(0));

const [before, after, width] = [100, 128, 16];
const plain: NewRows = { before, after, init: "noise_init", described: [], seed: 3 };

/** A table of 100 rows in a dtype, and what becomes of it. */
async function grow(dtype: "f32" | "bf16", stream: string, rows: NewRows): Promise<{ old: number[]; grown: number[] }> {
  const read = async (x: Tensor): Promise<number[]> => Array.from((await cast(x, "f32").read()) as Float32Array);
  return engine.noGradAsync(() =>
    engine.scopeAsync(async () => {
      const values = Float32Array.from({ length: before * width }, (_, index) => Math.sin(index));
      const table = cast(engine.tensor(values, [before, width]), dtype);
      const grown = growTable(engine, table, table, stream, rows);
      expect([grown.dtype, grown.shape]).toEqual([dtype, [after, width]]);
      return { old: await read(table), grown: await read(grown) };
    }),
  );
}

it("a half-precision table keeps its rows and its dtype", async () => {
  const { old, grown } = await grow("bf16", "a", plain);
  expect(grown.slice(0, before * width)).toEqual(old);
});

it("new rows depend on the seed and the table's name, not on where the run is", async () => {
  const fresh = async (stream: string, rows: NewRows): Promise<number[]> =>
    (await grow("f32", stream, rows)).grown.slice(before * width);
  const first = await fresh("a", plain);
  Object.assign(engine.rng, { seed: 99, step: 12, micro: 1 });
  expect(await fresh("a", plain)).toEqual(first);
  expect(await fresh("b", plain)).not.toEqual(first);
  expect(await fresh("a", { ...plain, seed: 4 })).not.toEqual(first);
});
