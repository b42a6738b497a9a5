import type { Linear } from "@welltempered/nn";
import { blockSizeOf } from "../block-size.ts";
import type { Method } from "../method.ts";
import { readOftConfig, writeOftConfig, type OftConfig } from "./config.ts";
import { OftLinear } from "./layer.ts";

function wrap(path: string, linear: Linear, config: OftConfig): OftLinear {
  const { r, blockSize, neumannTerms } = config;
  const sizes = { count: ["r", r], size: ["oft_block_size", blockSize] } as const;
  return new OftLinear(linear, { blockSize: blockSizeOf(path, linear.inFeatures, sizes), neumannTerms });
}

export const oft: Method<OftConfig> = { read: readOftConfig, write: writeOftConfig, wrap };
