import type { RunConfig } from "@welltempered/config";
import { UsageError } from "./errors.ts";

const devices = ["auto", "cuda", "cpu", "wasm", "reference"] as const;

/** The configuration with `TEMPER_DEVICE` in place of `device: auto`. Throws UsageError for another word. */
export function withDevice(config: RunConfig, name: string | undefined = process.env["TEMPER_DEVICE"]): RunConfig {
  if (!name || config.device !== "auto") return config;
  const device = devices.find((known) => known === name);
  if (device) return { ...config, device };
  throw new UsageError(`TEMPER_DEVICE: ${JSON.stringify(name)} is unknown; use one of ${devices.join(", ")}`);
}
