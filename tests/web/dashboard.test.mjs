// The dashboard in a real browser, against a server made of memory: staged situations that a real queue rarely shows.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { startMock } from "../fake/mock-api.mjs";
import { buildWebui, inked, openBrowser, openPage } from "./browser.mjs";

const GIVEN = { kind: "quantize", model: "zoo:lenet5", dataset: "builtin:glyphs" };
let webui, mock, browser;

before(async () => {
  webui = await buildWebui();
  mock = await startMock({ webui: webui.dir, tick: 50, steps: 60 });
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await mock?.close();
  await webui?.remove();
});
const submit = (name, more = {}) => fetch(`${mock.url}/v1/jobs`, { method: "POST", body: JSON.stringify({ ...GIVEN, name, ...more }) }).then((r) => r.json());
const row = (page, id) => page.locator(`tr[data-job="${id}"]`);

test("the queue shows a job that comes, runs and ends, without being reloaded", async () => {
  const page = await openPage(browser, mock.url);
  await page.goto(mock.url + "/");
  await page.getByText("Nothing here yet").waitFor();
  const job = await submit("watched", { quantize: { weights: { bits: 3 } } });
  await row(page, job.id).locator(".is-running").first().waitFor();
  assert.match(await row(page, job.id).innerText(), /msqe W3 A8/);
  const bar = row(page, job.id).getByRole("progressbar");
  await bar.waitFor();
  const first = Number(await bar.getAttribute("aria-valuenow"));
  await page.waitForFunction(([id, n]) => Number(document.querySelector(`tr[data-job="${id}"] [role=progressbar]`)?.getAttribute("aria-valuenow")) > n, [job.id, first]);
  await row(page, job.id).getByText("98.97 %").waitFor();
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("a job's page draws its curves while it trains, then shows the result and gives the artifacts", async () => {
  const page = await openPage(browser, mock.url);
  const job = await submit("curves");
  await page.goto(`${mock.url}/#/jobs/${job.id}`);
  await page.waitForFunction(() => document.querySelectorAll(".chart canvas").length >= 6);
  const loss = page.locator('[data-series="loss"] canvas');
  await page.waitForTimeout(400);
  const before = await page.locator('[data-series="loss"] .values').innerText();
  assert.ok((await inked(loss)) > 500, "the curve has points");
  await page.waitForFunction((text) => document.querySelector('[data-series="loss"] .values').innerText !== text, before);
  for (const name of ["top1 train_top1 held_out_top1", "msqe", "coefficient", "error_in_steps", "learning_rate"]) assert.ok((await inked(page.locator(`[data-series="${name}"] canvas`))) > 300, name);
  await page.getByRole("heading", { name: "Result" }).waitFor();
  const result = await page.locator("section.card", { has: page.getByRole("heading", { name: "Result" }) }).innerText();
  for (const text of ["98.97 %", "99.12 %", "7.9×", "428 KiB"]) assert.ok(result.includes(text), text);
  assert.equal(await page.locator("section.card", { has: page.getByRole("heading", { name: "Layers" }) }).locator("tbody tr").count(), 4);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "model.onnx" }).click()]);
  assert.deepEqual(await readFile(await saved.path()), mock.jobs.get(job.id).files["model.onnx"]);
  assert.equal(saved.suggestedFilename(), "model.onnx");
  assert.ok((await page.getByLabel("Log lines").innerText()).includes("8000 training and 2000 test samples"));
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("what a search has tried stands below the result: the front, and on demand the rest", async () => {
  const page = await openPage(browser, mock.url);
  const job = await submit("searched", { tags: ["goal"] });
  await page.goto(`${mock.url}/#/jobs/${job.id}`);
  const card = page.locator("section.card", { has: page.getByRole("heading", { name: "Search" }) });
  await card.waitFor();
  assert.equal(await card.locator("tbody tr").count(), 2);
  assert.match(await card.innerText(), /at least 98\.00 %: met/);
  assert.match(await card.locator("tbody tr").first().innerText(), /2\s+98 %\s+3\s+–\s+3\.1 KiB\s+98\.50 %\s+delivered/);
  await card.getByRole("button", { name: "All (1 more)" }).click();
  assert.match(await card.locator("tbody tr").last().innerText(), /9\.7 KiB\s+98\.80 %\s+beaten/);
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("the form is drawn from the capabilities, refuses bad bits beside the field, and submits", async () => {
  const page = await openPage(browser, mock.url);
  await page.goto(`${mock.url}/#/new`);
  await page.getByText("The server accepts this job.").waitFor();
  assert.ok((await page.locator("[data-pointer]").count()) > 20);
  const bits = page.locator('[data-pointer="/quantize/weights/bits"]');
  assert.match(await bits.innerText(), /1 to 8, or 32/);
  await bits.locator("input").fill("9");
  await bits.getByText("9 is outside 1 to 8 (or 32)").waitFor();
  assert.equal(await bits.locator("input").getAttribute("aria-invalid"), "true");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.getByText("See the messages beside the fields.").waitFor();
  await bits.locator("input").fill("3");
  await page.getByText("The server accepts this job.").waitFor();
  assert.match(await page.getByLabel("Equivalent command").first().innerText(), /"bits": 3/);
  await page.getByLabel("Name", { exact: true }).fill("by form");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.getByRole("heading", { name: "by form" }).waitFor();
  const made = [...mock.jobs.values()].at(-1);
  assert.deepEqual([made.name, made.spec.quantize.weights.bits, made.spec.model], ["by form", 3, "zoo:lenet5"]);
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("an architecture is made at the size of the data set, or at any other", async () => {
  const page = await openPage(browser, mock.url);
  await page.goto(`${mock.url}/#/new`);
  const model = page.locator('[data-pointer="/model"]'), command = page.getByLabel("Equivalent command").first();
  const has = (text) => command.getByText(text).waitFor();
  await model.locator("select").selectOption("zoo:resnet8");
  assert.equal(await model.getByLabel("height").inputValue(), "32");
  await has('"model": "zoo:resnet8"');
  await model.getByRole("button", { name: "As the data set" }).click();
  await has('"model": "zoo:resnet8@1x28x28"');
  assert.equal(await model.getByRole("button", { name: "As the data set" }).count(), 0);
  assert.equal(await model.locator("select").inputValue(), "zoo:resnet8");
  await model.getByLabel("classes").fill("7");
  await has('"model": "zoo:resnet8@1x28x28/7"');
  for (const [axis, value] of [["channels", "3"], ["height", "32"], ["width", "32"]]) await model.getByLabel(axis).fill(value);
  await has('"model": "zoo:resnet8/7"');
  await model.locator("select").selectOption("zoo:lenet5");
  await has('"model": "zoo:lenet5"');
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("the kind decides which sections there are; a layer override is checked row by row", async () => {
  const page = await openPage(browser, mock.url);
  await page.goto(`${mock.url}/#/new`);
  await page.getByText("Layer overrides").click();
  await page.getByRole("button", { name: "Add" }).click();
  const match = page.locator('[data-pointer="/overrides/0/match"]');
  await match.getByText("must be given").waitFor();
  await match.locator("input").fill("nothing*");
  await match.getByText("matches no layer").waitFor();
  await match.locator("input").fill("conv1");
  await page.getByText("The server accepts this job.").waitFor();
  await page.getByLabel("Evaluate").check();
  await page.getByText("The server accepts this job.").waitFor();
  assert.equal(await page.locator('[data-pointer^="/train"], [data-pointer^="/quantize"], [data-pointer^="/overrides"]').count(), 0);
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("models: a bad file is explained, a good one is listed and can be used", async () => {
  const page = await openPage(browser, mock.url);
  await page.goto(`${mock.url}/#/models`);
  const choose = (name, text) => page.setInputFiles("input[type=file]", { name, mimeType: "application/octet-stream", buffer: Buffer.from(text) });
  await choose("bad.onnx", "broken");
  await page.locator(".uploading .primary").click();
  await page.getByText("node loop_1 (Loop)").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await choose("good.onnx", "x".repeat(100000));
  await page.locator(".uploading .primary").click();
  const line = page.locator("tr", { hasText: "good" });
  await line.getByRole("link", { name: "Use" }).click();
  await page.getByText("The server accepts this job.").waitFor();
  assert.match(await page.getByLabel("Model *").inputValue(), /^sha256:/);
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("cancel asks once more; a failed job says why; retry", async () => {
  const page = await openPage(browser, mock.url);
  const stuck = await submit("stuck");
  await page.goto(`${mock.url}/#/jobs/${stuck.id}`);
  await page.getByText("waiting for 1 cpu").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Really cancel?" }).click();
  await page.locator(".status .state.is-cancelled").waitFor();
  const doomed = await submit("doomed");
  await page.goto(`${mock.url}/#/jobs/${doomed.id}`);
  await page.getByText("the loss is not a number").waitFor();
  await page.getByRole("button", { name: "Retry" }).click();
  await page.locator(".status .state.is-running").waitFor();
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("a stream that breaks is taken up again", async (t) => {
  const flaky = await startMock({ webui: webui.dir, tick: 30, steps: 60, drop: true });
  t.after(() => flaky.close());
  const page = await openPage(browser, flaky.url, ["net::ERR"]);
  await page.goto(flaky.url + "/");
  await page.locator(".light.live").waitFor();
  const job = await fetch(`${flaky.url}/v1/jobs`, { method: "POST", body: JSON.stringify({ ...GIVEN, name: "flaky" }) }).then((r) => r.json());
  await page.locator(".light.waiting").waitFor();
  await page.locator(".light.live").waitFor();
  await row(page, job.id).getByText("98.97 %").waitFor();
  assert.deepEqual((await page.faults()).filter((f) => !f.includes("ERR_INCOMPLETE_CHUNKED_ENCODING")), []);
  await page.close();
});

test("a server with accounts: the token is asked for, kept for the tab, and downloads carry it", async (t) => {
  const locked = await startMock({ webui: webui.dir, token: "qd_secret", tick: 5, steps: 6 });
  t.after(() => locked.close());
  const page = await openPage(browser, locked.url, [401]);
  await page.goto(locked.url + "/");
  const token = page.getByRole("textbox", { name: "Token" });
  await token.fill("qd_wrong");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("That token was not accepted.").waitFor();
  await token.fill("qd_secret");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("Nothing here yet").waitFor();
  const job = locked.add({ given: { name: "secret" } });
  locked.finish(job);
  await page.goto(`${locked.url}/#/jobs/${job.id}`);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "result.json" }).click()]);
  assert.equal(JSON.parse(await readFile(await saved.path(), "utf8")).metric, "top1");
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("a thousand jobs: paging, filters, and a full page without a wait", async (t) => {
  const many = await startMock({ webui: webui.dir });
  t.after(() => many.close());
  for (let i = 0; i < 1000; i++) many.add({ given: { name: `run ${i}` }, state: i % 10 === 3 ? "failed" : "succeeded", reason: "" });
  const page = await openPage(browser, many.url);
  await page.goto(many.url + "/");
  await page.locator("tr.row").first().waitFor();
  assert.equal(await page.locator("tr.row").count(), 50);
  await page.getByRole("link", { name: "Older" }).click();
  await row(page, 950).waitFor();
  await page.getByRole("link", { name: "Newer" }).click();
  await row(page, 1000).waitFor();
  const began = Date.now();
  await page.getByRole("link", { name: /^failed/i }).click();
  await row(page, 504).waitFor();
  assert.equal(await page.locator("tr.row .is-failed").count(), 50);
  assert.ok(Date.now() - began < 3000);
  await page.getByLabel("Choose job 994 for comparison").check();
  await page.getByLabel("Choose job 984 for comparison").check();
  await page.getByRole("link", { name: "Compare 2 jobs" }).click();
  await page.getByRole("heading", { name: "Compare 2 jobs" }).waitFor();
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("by keyboard alone: skip link, then a job opened from the table", async () => {
  const page = await openPage(browser, mock.url);
  await page.goto(mock.url + "/");
  await page.locator("tr.row").first().waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.matches("td.name > a"))) break;
  }
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => !document.querySelector("td.status")); // the table is gone
  await page.locator(".status").waitFor();
  assert.deepEqual(await page.faults(), []);
  await page.close();
});

test("every control has a name", async () => {
  const page = await openPage(browser, mock.url);
  for (const route of ["#/", "#/new", "#/models", "#/datasets", "#/jobs/1"]) {
    await page.goto(`${mock.url}/${route}`);
    await page.waitForTimeout(500);
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("button, a, input, select")]
        .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length))
        .map((e) => e.outerHTML));
    assert.deepEqual(nameless, [], route);
  }
  await page.close();
});
