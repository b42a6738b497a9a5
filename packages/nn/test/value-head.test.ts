import { Engine, sum, type Tensor } from "@welltempered/tensor";
import { expect, it } from "vitest";
import { ValueHead, type Parameter } from "../src/index.ts";

const width = 6;
const engine = Engine.open({ device: "reference", threads: 1 });
const numbers = (count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, index) => Math.sin(1.7 * (index + 1)));
const hidden = (rows = 3): Tensor => engine.tensor(numbers(rows * width), [rows, width]);

const set = (parameter: Parameter, values: Float64Array): void =>
  engine.scope(() => parameter.replace(engine.tensor(values, parameter.shape)));

it("starts as torch's linear layer does: weight and bias within ±1/√width", async () => {
  engine.rng.seed = 5;
  const drawn = new ValueHead(engine, 4096, 0);
  const values = [...(await drawn.summary.weight.tensor.read()), ...((await drawn.summary.bias?.tensor.read()) ?? [])];
  expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(1 / 64);
  const variance = values.reduce((total, value) => total + value * value, 0) / values.length;
  // Of a uniform distribution in ±b: b²/3.
  expect(variance * 3 * 4096).toBeCloseTo(1, 1);
  drawn.dispose();
});

it("has the gradient of finite differences, weight and bias", async () => {
  const head = new ValueHead(engine, width, 0);
  const parameters = [...head.namedParameters()];
  expect(parameters.map(([name]) => name)).toEqual(["summary.weight", "summary.bias"]);
  const start = new Map(parameters.map(([name, { size }]) => [name, numbers(size)]));
  for (const [name, parameter] of parameters) {
    set(parameter, start.get(name)!);
    parameter.trainable = true;
  }
  const loss = async (): Promise<number> => engine.scopeAsync(async () => sum(head.forward(hidden())).item());
  engine.scope(() => engine.backward(sum(head.forward(hidden()))));
  for (const [name, parameter] of parameters) {
    const exact = await parameter.grad!.read();
    for (const index of exact.keys()) {
      const at = async (step: number): Promise<number> => {
        set(
          parameter,
          start.get(name)!.map((value, other) => (other === index ? value + step : value)),
        );
        return loss();
      };
      const difference = ((await at(1e-5)) - (await at(-1e-5))) / 2e-5;
      expect(Math.abs(exact[index]! - difference), `${name}[${index}]`).toBeLessThan(1e-7);
    }
    set(parameter, start.get(name)!);
  }
  head.dispose();
});

it("drops out hidden channels while training alone", async () => {
  const head = new ValueHead(engine, width, 0.5);
  for (const [, parameter] of head.namedParameters()) set(parameter, new Float64Array(parameter.size).fill(1));
  const scores = async (training: boolean): Promise<number[]> => {
    head.setTraining(training);
    return engine.scopeAsync(async () => [...(await head.forward(hidden(64)).read())]);
  };
  const [plain, dropped] = [await scores(false), await scores(true)];
  const wanted = Array.from({ length: 64 }, (_, row) =>
    numbers(64 * width)
      .subarray(row * width, (row + 1) * width)
      .reduce((total, value) => total + value, 1),
  );
  for (const [row, score] of wanted.entries()) expect(plain[row]).toBeCloseTo(score, 10);
  expect(dropped.filter((score, row) => Math.abs(score - wanted[row]!) > 1e-9).length).toBeGreaterThan(48);
  head.dispose();
});
