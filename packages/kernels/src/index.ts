export * from "./contract.ts";
export { describeBackends, openBackend } from "./loader.ts";
export type { BackendOptions, BackendReport, Device } from "./loader.ts";
