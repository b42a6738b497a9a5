export * from "./everywhere.ts";
export { type LoadOptions, loadRows } from "./load/load-from-disk.ts";
export { diskFolder, findDatasets, readRows } from "./read/disk.ts";
