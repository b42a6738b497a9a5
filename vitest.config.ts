import { configDefaults, defineConfig, type TestProjectConfiguration } from "vitest/config";

// Tests and siblings run from source through this export condition: no build is needed.
const conditions = ["@welltempered/source", "node", "import", "module", "default"];

const all = ["packages/*/test/**/*.test.ts", "tests/**/*.test.ts", "tools/**/*.test.ts"];
// What the wasm build has to be there for.
const wasm = ["packages/kernels/test/**/*.test.ts", "tests/browser/**/*.test.ts"];
const backends = ["tests/conformance/**/*.test.ts"];

/** Modules are read once a worker, not once a file. */
const shared = (name: string, include: string[], exclude: string[] = []): TestProjectConfiguration => ({
  extends: true,
  test: { name, include, exclude: [...configDefaults.exclude, ...exclude], isolate: false },
});

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    projects: [
      shared("most", all, [...wasm, ...backends]),
      shared("wasm", wasm),
      // Which backends there are is found out once a process, from the environment.
      { extends: true, test: { name: "backends", include: backends } },
    ],
  },
});
