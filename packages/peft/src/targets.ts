import { Linear, type CausalLM, type Module } from "@welltempered/nn";
import { AdapterError } from "./errors.ts";

/** peft's rule: a name matches a module of that path, or whose path ends with it. */
export const matches = (path: string, name: string): boolean => path === name || path.endsWith(`.${name}`);

/** The exception that a pattern such as `rank_pattern` makes for a path. */
export const patterned = (pattern: Readonly<Record<string, number>>, path: string): number | undefined =>
  Object.entries(pattern).find(([name]) => matches(path, name))?.[1];

/** Paths of the projections that names choose; "all-linear" is every projection but the head. @throws {AdapterError} */
export function chooseProjections(model: CausalLM, targets: readonly string[] | "all-linear"): [string, Linear][] {
  const all = linears(model);
  const chosen =
    targets === "all-linear"
      ? all.filter(([, module]) => module !== model.lm_head)
      : all.filter(([path]) => targets.some((name) => matches(path, name)));
  if (targets !== "all-linear") {
    const missing = targets.filter((name) => !all.some(([path]) => matches(path, name)));
    if (missing.length > 0)
      throw new AdapterError(
        `no projection is called ${missing.join(", ")}; this model has ${leafNames(all).join(", ")}`,
      );
  }
  return chosen;
}

/** Modules with a weight of their own that are trained in full. @throws {AdapterError} */
export function chooseModules(model: CausalLM, names: readonly string[]): [string, Module][] {
  // peft takes every module whose path ends with the name, not only at a dot: "norm" names all norms.
  const all = [...model.namedModules()].filter(([, module]) => "weight" in module);
  for (const name of names) {
    if (!all.some(([path]) => path.endsWith(name)))
      throw new AdapterError(`no module is called ${name}; this model has ${leafNames(all).join(", ")}`);
  }
  return all.filter(([path]) => names.some((name) => path.endsWith(name)));
}

const linears = (model: CausalLM): [string, Linear][] =>
  [...model.namedModules()].filter((entry): entry is [string, Linear] => entry[1] instanceof Linear);

/** Last path segments, each once. */
export const leafNames = (entries: readonly (readonly [string, unknown])[]): string[] => [
  ...new Set(entries.map(([path]) => path.slice(path.lastIndexOf(".") + 1))),
];
