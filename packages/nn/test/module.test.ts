import { describe, expect, it } from "vitest";
import { Module } from "../src/index.ts";

class Leaf extends Module {}

class Tree extends Module {
  readonly layers: readonly Module[];
  readonly head = new Leaf();
  readonly name = "tree";

  constructor(layers: readonly Module[]) {
    super();
    this.layers = layers;
  }
}

describe("a module at a path", () => {
  const tree = new Tree([new Tree([new Leaf()]), new Leaf()]);

  it("is the one that namedModules lists there", () => {
    const listed = [...tree.namedModules()];
    expect(listed.map(([path]) => path)).toEqual([
      "",
      "layers.0",
      "layers.0.layers.0",
      "layers.0.head",
      "layers.1",
      "head",
    ]);
    for (const [path, module] of listed) expect(tree.moduleAt(path)).toBe(module);
  });

  it.each([
    "layers",
    "layers.2",
    "layers.length",
    "layers.00",
    "name",
    "head.x",
    ".",
    "head.",
    "__proto__",
    "children",
  ])("is none at %j", (path) => expect(tree.moduleAt(path)).toBeUndefined());

  it("can be replaced where a property holds it", () => {
    const leaf = new Leaf();
    tree.replaceModule("layers.0.head", leaf);
    expect(tree.moduleAt("layers.0.head")).toBe(leaf);
    expect(() => tree.replaceModule("layers.2.head", leaf)).toThrow("there is no module layers.2.head");
  });
});
