import { configDefaults, defineConfig } from "vitest/config";

// Tests and siblings run from source through this export condition: no build is needed.
const conditions = ["@welltempered/source", "node", "import", "module", "default"];

const apart = ["tests/conformance/**/*.test.ts"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: "shared",
          include: ["packages/*/test/**/*.test.ts", "tests/**/*.test.ts", "tools/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...apart],
          // Modules are read once a worker: a quarter of the time.
          isolate: false,
        },
      },
      // Which backends there are is found out once a process, from the environment.
      { extends: true, test: { name: "apart", include: apart } },
    ],
  },
});
