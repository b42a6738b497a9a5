import type { Linear } from "@welltempered/nn";
import type { Method } from "../method.ts";
import { checkIa3Config, readIa3Config, writeIa3Config, type Ia3Config } from "./config.ts";
import { Ia3Linear } from "./layer.ts";

function wrap(path: string, linear: Linear, config: Ia3Config): Ia3Linear {
  const name = path.slice(path.lastIndexOf(".") + 1);
  return new Ia3Linear(linear, { feedforward: checkIa3Config(config).feedforwardModules.includes(name) });
}

export const ia3: Method<Ia3Config> = { read: readIa3Config, write: writeIa3Config, wrap };
