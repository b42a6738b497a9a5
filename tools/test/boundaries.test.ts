import { describe, expect, it } from "vitest";
// @ts-expect-error a plain script of the repository, without types
import { readGraph, violations } from "../boundaries.mjs";

describe("the boundary check", () => {
  const graph = readGraph();
  const withArrow = (source: string, target: string): unknown => ({
    ...graph,
    dependencies: {
      ...graph.dependencies,
      [source]: [...graph.dependencies[source], { source, target, type: "static" }],
    },
  });

  it("accepts the repository as it is", () => {
    expect(violations(graph)).toEqual([]);
  });

  it("refuses an upward arrow by name", () => {
    expect(violations(withArrow("@welltempered/tensor", "@welltempered/trainer"))[0]).toMatch(
      /^tensor → trainer is not in the list/,
    );
  });

  it("refuses a cycle and prints it", () => {
    const found: string[] = violations(withArrow("@welltempered/kernels", "@welltempered/tensor"));
    expect(found.some((sentence) => /^cycle: .*kernels.*tensor|^cycle: .*tensor.*kernels/.test(sentence))).toBe(true);
  });
});
