// The products in a page of Chromium, served without a header for isolation: what an ordinary site gets.
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundlePage, openChromium, serve } from "../../tools/browser.mjs";

const source = fileURLToPath(new URL("page", import.meta.url));
/** What onnxruntime-web loads without WebGPU. */
const files = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];

export async function inPage(dist, rounds) {
  const folder = mkdtempSync(join(tmpdir(), "temper-bench-page-"));
  let site, browser;
  try {
    await bundlePage(source, folder);
    for (const name of files) cpSync(join(dist, name), join(folder, "ort", name));
    site = await serve(folder);
    browser = await openChromium();
    const page = await browser.newPage();
    await page.goto(site.address);
    const { fault, ...measured } = await page.evaluate((count) => window.measure(count), rounds);
    if (fault !== undefined) throw new Error(`wasm: ${fault}`);
    return { engine: `Chromium ${browser.version()}`, ...measured };
  } finally {
    await browser?.close();
    site?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
