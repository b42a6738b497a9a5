// node tools/browser-pictures.mjs: runs the whole demo in a tab, says how long it took, and takes docs/img/browser-*.png.
import { join } from "node:path";
import { buildPage, chromiumMissing, openChromium, serve, untilState } from "./browser.mjs";
import { root } from "./lib.mjs";

const missing = chromiumMissing();
if (missing !== undefined) throw new Error(missing);
const query = process.argv[2] ?? "";
const server = await serve(await buildPage());
const browser = await openChromium();
const picture = (name) => join(root, `docs/img/browser-${name}.png`);
const widths = { wide: { width: 1280, height: 860 }, narrow: { width: 390, height: 844 } };

try {
  const page = await browser.newPage({ viewport: widths.wide, colorScheme: "light" });
  page.setDefaultTimeout(600_000);
  page.on("console", (message) => console.error(`the page says: ${message.text()}`));
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
  await page.goto(server.address + query);
  await untilState(page, "ready");
  console.log(`ready after ${seconds()} s`);
  const ask = async (words) => {
    await page.locator("#question").fill(words);
    await page.locator("#send").click();
    await page.locator("#send:enabled").waitFor();
  };
  const questions = ["List the running containers", "Run nginx detached under the name web"];
  for (const question of questions) await ask(question);
  await page.locator("#start").click();
  await page.waitForFunction(() => document.querySelector("#progress").value > 0.45);
  await page.screenshot({ path: picture("training") });
  await untilState(page, "trained");
  console.log(`trained and asked again after ${seconds()} s: ${await page.locator("#match-after").textContent()}`);
  for (const question of questions) await ask(question);
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, viewport] of Object.entries(widths)) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      await page.waitForTimeout(300);
      await page.screenshot({ path: picture(`${name}-${colorScheme}`), fullPage: true });
    }
  }
} finally {
  await browser.close();
  server.close();
}
