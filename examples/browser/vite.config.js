import { defineConfig } from "vite";

export default defineConfig({
  // The page may lie in any folder of any server.
  base: "./",
  worker: { format: "es" },
  build: {
    target: "es2022",
    // The model's files are fetched with a progress bar, not carried in the code.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
  },
});
