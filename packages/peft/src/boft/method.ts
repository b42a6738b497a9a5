import type { Linear } from "@welltempered/nn";
import { blockSizeOf } from "../block-size.ts";
import { AdapterError } from "../errors.ts";
import type { Method } from "../method.ts";
import { readBoftConfig, writeBoftConfig, type BoftConfig } from "./config.ts";
import { BoftLinear } from "./layer.ts";

function wrap(path: string, linear: Linear, config: BoftConfig): BoftLinear {
  const { blockNum, factors } = config;
  const sizes = { count: ["boft_block_num", blockNum], size: ["boft_block_size", config.blockSize] } as const;
  const blockSize = blockSizeOf(path, linear.inFeatures, sizes);
  // A butterfly swaps halves of blocks within runs of 2^(factors−1) blocks.
  const run = blockSize * 2 ** (factors - 1);
  if (factors > 1 && (blockSize % 2 !== 0 || linear.inFeatures % run !== 0))
    throw new AdapterError(
      `boft_n_butterfly_factor ${factors} needs blocks of an even size and inputs in runs of ${run}; ${path} has ${linear.inFeatures} inputs in blocks of ${blockSize}`,
    );
  return new BoftLinear(linear, { blockSize, factors });
}

export const boft: Method<BoftConfig> = { read: readBoftConfig, write: writeBoftConfig, wrap };
