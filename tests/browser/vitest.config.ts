import { mergeConfig } from "vitest/config";
import root from "../../vitest.config.ts";

// Apart from the other suites: it needs a Chromium, and time.
const config: typeof root = mergeConfig(root, { test: { testTimeout: 300_000, hookTimeout: 300_000 } });
const { projects: _others, ...common } = config.test ?? {};
config.test = { ...common, include: ["tests/browser/*.e2e.ts"] };

export default config;
