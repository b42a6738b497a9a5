// The page of examples/browser for its tests and pictures: Chromium, a build, a server that knows nothing special.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { has, root, run } from "./lib.mjs";

const fromTests = createRequire(join(root, "tests/package.json"));
const load = (name) => import(pathToFileURL(fromTests.resolve(name)).href);
const names = ["chromium", "chromium-browser", "google-chrome"];
const find = () => names.find((name) => has(name));

/** Why there is no Chromium, or undefined. Debian's is installed where that may be done. */
export function chromiumMissing() {
  if (find() !== undefined) return undefined;
  const missing = `there is no ${names.join(", ")}`;
  if (!has("apt-get")) return missing;
  if (process.getuid?.() !== 0) return `${missing}, and only root may install Debian's`;
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => run("apt-get", ["-qq", ...args], { quiet: true, env, allowFailure: true }).status === 0;
  const done = apt("update") && apt("install", "-y", "--no-install-recommends", "chromium");
  return done && find() !== undefined ? undefined : `${missing}, and apt-get could not install chromium`;
}

/** Builds the page; returns its folder. */
export async function buildPage() {
  const folder = join(root, "examples/browser");
  await bundlePage(folder, join(folder, "dist"));
  return join(folder, "dist");
}

/** Bundles a folder with index.html into another, as the example's page is. */
export async function bundlePage(folder, out) {
  const { build } = await load("vite");
  const config = join(root, "examples/browser/vite.config.js");
  await build({ root: folder, configFile: config, logLevel: "warn", build: { outDir: out, emptyOutDir: true } });
}

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
};

/** Serves a folder as any static host would, without a header for isolation; names in `missing` are not there. */
export async function serve(folder, missing = []) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://tab").pathname));
    const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
    const absent = missing.some((part) => file.includes(part));
    if (absent || !file.startsWith(folder) || !existsSync(file)) return void response.writeHead(404).end();
    const type = types[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "content-length": statSync(file).size });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** Debian's Chromium, without a window. */
export async function openChromium() {
  const { chromium } = fromTests("playwright-core");
  const path = run("sh", ["-c", `command -v ${find()}`], { quiet: true }).stdout.trim();
  return chromium.launch({ executablePath: path, args: ["--no-sandbox"] });
}

/** Waits until the page says so of itself ("ready", "trained"); its own error line ends the wait. */
export async function untilState(page, state, timeout = 600_000) {
  await page.waitForFunction((wanted) => [wanted, "failed"].includes(document.body.dataset.state), state, { timeout });
  const said = await page.evaluate(() => document.body.dataset.state);
  if (said !== state) throw new Error(await page.locator("#fault").textContent());
}
