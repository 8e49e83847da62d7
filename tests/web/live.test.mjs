// The dashboard on the real quantd: from the form, over a job that trains, to the downloaded model.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { startQuantd } from "../lib/quantd.mjs";
import { buildWebui, inked, openBrowser, openPage } from "./browser.mjs";

let webui, daemon, browser;
before(async () => {
  webui = await buildWebui();
  daemon = await startQuantd({ args: ["--webui", webui.dir] });
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await daemon?.stop();
  await webui?.remove();
});

test("a job made with the form trains, draws its curves and ends in a model", { timeout: 240000 }, async () => {
  const page = await openPage(browser, daemon.url);
  await page.goto(`${daemon.url}/#/new`);
  await page.getByText("The server accepts this job.").waitFor();
  const field = (pointer) => page.locator(`[data-pointer="${pointer}"]`);
  await field("/quantize/weights/bits").locator("input").fill("9");
  await page.waitForFunction(() => document.querySelector('[data-pointer="/quantize/weights/bits"] .error').textContent !== "");
  await field("/quantize/weights/bits").locator("input").fill("4");
  await field("/train/epochs").locator("input").fill("1");
  await field("/name").locator("input").fill("made by hand");
  await page.getByText("The server accepts this job.").waitFor();
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.locator(".status .state.is-running").waitFor({ timeout: 20000 });

  const loss = page.locator('[data-series="loss"] canvas');
  await loss.waitFor({ timeout: 60000 });
  await page.waitForTimeout(1000);
  const early = await inked(loss);
  assert.ok(early > 300, "the curve has points");
  await page.locator(".status .state.is-succeeded").waitFor({ timeout: 180000 });
  await page.getByRole("heading", { name: "Result" }).waitFor();
  assert.equal(await page.locator('[data-series^="bins/"]').count(), 1, "one histogram, not a curve for each of its cells");
  assert.ok((await inked(page.locator('[data-series="bins/"] canvas'))) > 300);
  assert.equal(await page.locator("section.card", { has: page.getByRole("heading", { name: "Layers" }) }).locator("tbody tr").count(), 4);

  const list = await (await fetch(`${daemon.url}/v1/jobs/1/artifacts`)).json();
  const model = list.items.find((a) => a.name === "model.onnx");
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "model.onnx" }).click()]);
  const hash = createHash("sha256").update(await readFile(await saved.path())).digest("hex");
  assert.equal(`sha256:${hash}`, model.sha256);

  await page.goto(`${daemon.url}/#/`);
  const row = page.locator('tr[data-job="1"]');
  await row.locator(".state.is-succeeded").waitFor();
  assert.match(await row.innerText(), /msqe W4 A8/);
  assert.deepEqual(await page.faults(), []);
});

test("a model that can't be read is explained by the server's own words", async () => {
  const page = await openPage(browser, daemon.url);
  await page.goto(`${daemon.url}/#/models`);
  await page.setInputFiles("input[type=file]", { name: "noise.onnx", mimeType: "application/octet-stream", buffer: Buffer.from("this is no model") });
  await page.locator(".uploading .primary").click();
  await page.locator(".trouble").waitFor();
  assert.match(await page.locator(".trouble").innerText(), /can't be read|not supported|not valid/i);
  assert.deepEqual(await page.faults(), []);
});

test("a sweep fills its table while its jobs end", async () => {
  const post = (body) => fetch(`${daemon.url}/v1/jobs`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const page = await openPage(browser, daemon.url);
  const made = await (await post({ kind: "evaluate", model: "zoo:lenet5", dataset: "builtin:glyphs", name: "both", sweep: { "resources.memory_mb": [512, 1024] } })).json();
  await page.goto(`${daemon.url}/#/sweeps`);
  await page.getByRole("link", { name: "both" }).click();
  await page.getByText("2 of 2 jobs have ended").waitFor({ timeout: 60000 });
  const cells = await page.locator("tbody tr").first().locator("td").allInnerTexts();
  assert.match(cells.join(" "), /^512 ✓\s*succeeded .* %/i);
  await page.getByRole("link", { name: String(made.rows[0].jobs[0]), exact: true }).click();
  await page.getByRole("link", { name: String(made.id), exact: true }).waitFor(); // and back from the job
  assert.deepEqual(await page.faults(), []);
});
