// A chromium with a new profile, and a page that remembers everything that must not happen.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { chromium } from "playwright-core";

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** The dashboard as it would be installed, laid out in a directory of its own. */
export async function buildWebui() {
  const dir = await mkdtemp(join(tmpdir(), "quantd-webui-"));
  execFileSync("sh", [new URL("../../webui/build.sh", import.meta.url).pathname, dir]);
  return { dir, remove: () => rm(dir, { recursive: true }) };
}

export async function openBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), "quantd-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, viewport: { width: 1360, height: 900 }, args: ARGS, ...options,
  });
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** A page on `origin`; faults() lists console errors, broken content policy, exceptions, and requests that left the origin.
 * Answers that a test provokes (a refused dry run, a demanded token) are told by the browser as errors: `expect` names them. */
export async function openPage(browser, origin, expect = [422]) {
  const page = await browser.context.newPage();
  const faults = [];
  const provoked = (text) => expect.some((status) => text.includes(`status of ${status} `));
  page.on("console", (m) => m.type() === "error" && !provoked(m.text()) && faults.push(`console: ${m.text()}`));
  page.on("pageerror", (e) => faults.push(`exception: ${e.stack}`));
  page.on("request", (r) => /^(blob|data):/.test(r.url()) || r.url().startsWith(origin + "/") || faults.push(`request: ${r.url()}`));
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
  });
  page.faults = async () => [...faults, ...(await page.evaluate(() => window.violations))];
  return page;
}

/** How many pixels of a canvas are not transparent. */
export const inked = (canvas) =>
  canvas.evaluate((c) => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.reduce((n, v, i) => n + (i % 4 === 3 && v > 0 ? 1 : 0), 0));
