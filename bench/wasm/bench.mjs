// Products in WebAssembly against onnxruntime-web's, both in one page of Chromium, or in Node where there is none.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { openBackend } from "@welltempered/kernels";
import { chromiumMissing } from "../../tools/browser.mjs";
import { figure } from "../lib/report.mjs";
import { inPage } from "./in-page.mjs";
import { onnxruntime, onnxruntimeHere } from "./onnx.mjs";
import { products, tries } from "./products.mjs";

const floors = { ratio: 1.3, gzip: 600_000 };
/** The module in both its forms: a browser loads one. */
const forms = ["kernels_wasm_fused.wasm", "kernels_wasm_bg.wasm"];

function sizeOf(form) {
  const bytes = readFileSync(new URL(`../../packages/kernels/wasm/${form}`, import.meta.url));
  return { form, bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
}

async function inNode(dist, rounds) {
  const k = openBackend({ device: "wasm" });
  const measured = await products({ ort: await onnxruntimeHere(dist), k, rounds });
  return { engine: `Node ${process.versions.node}`, description: k.description, products: measured };
}

/** @param engine "node" measures there although there is a Chromium */
export async function run({ rounds = "25", engine: wanted } = {}) {
  const { version, dist } = onnxruntime();
  const page = wanted !== "node" && chromiumMissing() === undefined;
  const measured = await (page ? inPage : inNode)(dist, Number(rounds));
  const sizes = forms.map(sizeOf);
  return {
    settings: { rounds: Number(rounds), tries, threads: 1 },
    versions: { onnxruntimeWeb: version },
    ...measured,
    sizes,
    table: [
      ...sizes.map(({ form, bytes, gzip }) => [form, `${bytes} bytes, ${gzip} with gzip`]),
      ["engine", `${measured.engine}; ${measured.description}`],
      ["GFLOP/s", "ours | onnxruntime-web | ratio"],
      ...measured.products.map(({ shape, ours, onnxruntime: theirs, ratio }) => [
        shape.join("×"),
        `${figure(ours, 1)} | ${figure(theirs, 1)} | ${figure(ratio, 2)}`,
      ]),
    ],
    goals: [
      ...measured.products.map(({ shape, ratio }) => ({
        what: `${shape.join("×")}: at least ${floors.ratio} × onnxruntime-web; ${ratio.median.toFixed(2)}`,
        reached: ratio.median >= floors.ratio,
      })),
      ...sizes.map(({ form, gzip }) => ({
        what: `${form}: at most ${floors.gzip} bytes with gzip; ${gzip}`,
        reached: gzip <= floors.gzip,
      })),
    ],
  };
}
