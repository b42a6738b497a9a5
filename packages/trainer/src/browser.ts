// The entry for browsers.

export * from "./everywhere.ts";
