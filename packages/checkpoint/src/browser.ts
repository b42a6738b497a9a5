// The entry for browsers: models and adapters of files in memory.
export * from "./everywhere.ts";
export { openModel, openValueHead, readAdapterFolder, readConfig, writeSafetensors } from "./no-disk.ts";
