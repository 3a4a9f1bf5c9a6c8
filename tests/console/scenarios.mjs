// What a person does in the console. Each scenario is one test of test_console.py.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

export async function enter(page, config) {
  await page.goto(config.addresses.shift());
  await page.getByRole("heading", { name: "Projects", exact: true }).waitFor();
}

export async function fill(page, name, { tenant } = {}) {
  await page.getByRole("link", { name: "New project" }).first().click();
  await page.getByLabel("Name").fill(name);
  if (tenant) await page.getByLabel("Tenant").selectOption({ label: tenant });
}

export async function create(page, name, options) {
  await fill(page, name, options);
  await page.getByRole("button", { name: "Create project" }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
}

export const status = (page, words) => page.locator(".heading .badge").getByText(words, { exact: true });

async function behave(config, behaviour) {
  const body = JSON.stringify(behaviour);
  const answer = await fetch(`${config.simulator}/_sim/behaviour`, { method: "PUT", headers: { "Content-Type": "application/json" }, body });
  assert.ok(answer.ok);
}

// What somebody else does with the project meanwhile.
async function elsewhere(config, method, path, body) {
  const headers = { Authorization: `Bearer ${config.token}`, "Content-Type": "application/json" };
  const address = `${new URL(config.console).origin}/admin/v1/projects/${config.project}${path}`;
  assert.ok((await fetch(address, { method, headers, body: JSON.stringify(body) })).ok);
}

export async function signsIn({ open, config }) {
  const [address] = config.addresses;
  const page = await open();
  await enter(page, config);
  assert.ok(!page.url().includes("code="), page.url());
  await page.getByText(config.admin).waitFor();
  // Whose cookie is still there is not told to be signed out.
  const signOut = page.getByRole("button", { name: "Sign out" });
  await page.route("**/console/session", (route) => route.fulfill({ status: 429, json: { message: "Slow down." } }), { times: 1 });
  await signOut.click();
  await page.getByText("Slow down.").waitFor();
  await page.route("**/console/session", (route) => route.abort(), { times: 1 });
  await signOut.click();
  await page.getByText("The server cannot be reached.").waitFor();
  await page.getByRole("heading", { name: "Projects", exact: true }).waitFor();
  await signOut.click();
  await page.getByText("You are signed out.").waitFor();
  await page.reload();
  await page.getByLabel("Code or token").waitFor();
  const other = await open();
  await other.goto(address);
  await other.getByText("was used already").waitFor();
  await other.getByLabel("Code or token").fill(config.token);
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("heading", { name: "Projects", exact: true }).waitFor();
  await other.route("**/console/session", (route) => route.fulfill({ status: 401, json: {} }), { times: 1 });
  await other.getByRole("button", { name: "Sign out" }).click();
  await other.getByText("You are signed out.").waitFor();
}

// Holds the next request of that address; `asked` tells that it came, `release()` resolves once the page has had its answer.
async function hold(page, address) {
  const asked = page.waitForRequest(address);
  const answered = page.waitForResponse(address);
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  await page.route(address, (route) => opened.then(() => route.fallback()), { times: 1 });
  const release = async () => {
    open();
    await (await answered).finished();
    await settled(page);
  };
  return { asked, release };
}

export async function createsAndWatches({ open, config }) {
  const page = await open();
  await enter(page, config);
  await fill(page, config.name, { tenant: config.tenant });
  const early = await hold(page, "**/admin/v1/users?search=nobody*");
  await page.getByLabel("Members").fill("nobody of that name");
  await early.asked;
  await page.getByLabel("Members").fill(config.member);
  await page.getByRole("checkbox", { name: config.member }).waitFor();
  // What was looked for before comes late, and takes the find away no more.
  await early.release();
  await page.getByRole("checkbox", { name: config.member }).check();
  const preview = page.getByRole("complementary");
  const chosen = preview.getByRole("listitem").filter({ hasText: config.member });
  await chosen.getByText("chosen").waitFor();
  await chosen.getByText("user of the tenant").waitFor();
  await preview.getByText("What will be done on the cloud").click();
  await preview.getByText("make the cloud project: once").waitFor();
  await page.getByRole("button", { name: "Create project" }).click();
  await page.getByRole("heading", { level: 1, name: config.name }).waitFor();
  await status(page, "Provisioning").waitFor();
  await page.getByRole("status").getByText("Live").waitFor();
  // News come by push: not one poll is needed for the page to follow the run to its end.
  await page.route("**/projects/*/status", (route) => route.fulfill({ status: 304 }));
  await status(page, "Active").waitFor();
  await page.unroute("**/projects/*/status");
  await page.reload();
  const people = page.getByRole("list", { name: "Users of the project" });
  await people.getByRole("listitem").filter({ hasText: config.member }).getByText("Synced").waitFor();
  await page.getByText("The cloud project was created.").waitFor();
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByText("The cloud has what it should have.").waitFor();
  await page.getByRole("link", { name: "Projects" }).first().click();
  await page.getByLabel("Search").fill(config.name);
  const rows = page.getByRole("list", { name: "Projects" }).getByRole("listitem");
  await rows.filter({ hasText: config.name }).getByText("Active", { exact: true }).waitFor();
  await page.getByText("1 in all").waitFor();
}

export async function createsOnce({ open, config }) {
  const page = await open();
  await enter(page, config);
  await fill(page, config.name);
  const submit = page.getByRole("button", { name: "Create project" });
  await submit.click();
  await page.getByText("The name has already been taken").waitFor();
  await elsewhere(config, "PATCH", "", { name: `${config.name} before` });
  // The name is free, and the answer that says so is lost.
  let made;
  await page.route(
    "**/admin/v1/projects",
    async (route) => {
      made = await route.fetch();
      await route.abort();
    },
    { times: 1 },
  );
  await submit.click();
  await page.getByText("The server cannot be reached.").waitFor();
  assert.ok(made.ok());
  await submit.click();
  await page.getByRole("heading", { level: 1, name: config.name }).waitFor();
  assert.ok(page.url().endsWith((await made.json()).identifier));
}

export async function createsWhereTheProviderIs({ open, config }) {
  const page = await open();
  await page.route("**/admin/v1/regions", async (route) => {
    const answer = await route.fetch();
    const { data } = await answer.json();
    assert.equal(data[0].provider, "zadara");
    await route.fulfill({ response: answer, json: { data: [...data, { ...data[0], code: "other-1", name: "Elsewhere", provider: "elsewhere" }] } });
  });
  await enter(page, config);
  await fill(page, config.name);
  await page.getByRole("complementary").getByText("will have access").waitFor();
  const previewed = page.waitForRequest("**/projects/provision-simulated");
  await page.getByLabel("Region").selectOption({ label: "Elsewhere" });
  assert.equal((await previewed).postDataJSON().provider, "elsewhere");
  const wished = page.waitForRequest("**/admin/v1/projects");
  await page.getByRole("button", { name: "Create project" }).click();
  const { region, provider } = (await wished).postDataJSON();
  assert.deepEqual([region, provider], ["other-1", "elsewhere"]);
  // This stack has no such provider, which is said where the region is chosen.
  await page.locator(".field", { has: page.getByLabel("Region") }).getByText("there is no provider elsewhere").waitFor();
}

// The API answers with one tenant at a time, as if the others were beyond the thousand that the page asks for.
export async function findsATenant({ open, config }) {
  const page = await open();
  await page.route("**/admin/v1/tenants?*", (route) => route.continue({ url: route.request().url().replace("per_page=1000", "per_page=1") }));
  await enter(page, config);
  const tenant = page.getByLabel("Tenant", { exact: true });
  const find = async () => {
    await page.getByLabel("Find a tenant").fill(config.tenant.slice(3));
    await tenant.getByRole("option", { name: config.tenant }).waitFor({ state: "attached" });
    await tenant.selectOption({ label: config.tenant });
  };
  await fill(page, config.name);
  const early = await hold(page, "**/admin/v1/tenants?search=nobody*");
  await page.getByLabel("Find a tenant").fill("nobody of that name");
  await early.asked;
  await page.getByLabel("Find a tenant").fill(config.tenant.slice(3));
  await tenant.getByRole("option", { name: config.tenant }).waitFor({ state: "attached" });
  // What was looked for before comes late, and takes the find away no more.
  await early.release();
  await tenant.selectOption({ label: config.tenant });
  // Another search leaves what is chosen.
  const searched = page.waitForResponse("**/admin/v1/tenants?search=nothing*");
  await page.getByLabel("Find a tenant").fill("nothing of that name");
  await searched;
  await page.getByRole("button", { name: "Create project" }).click();
  await page.getByRole("heading", { level: 1, name: config.name }).waitFor();
  await page.getByRole("link", { name: "Projects" }).first().click();
  await find();
  await page.getByText("1 in all").waitFor();
  await page.getByRole("link", { name: config.name }).waitFor();
  await page.reload();
  await page.getByText("1 in all").waitFor();
  assert.notEqual(await tenant.inputValue(), "");
}

export async function showsTheWholeTimeline({ open, config }) {
  const page = await open();
  await enter(page, config);
  await page.goto(`${config.console}#/projects/${config.project}`);
  const events = page.getByRole("region", { name: "Timeline" }).getByRole("listitem");
  const older = page.getByRole("button", { name: "Show older" });
  await older.click();
  await events.nth(99).waitFor();
  await older.click();
  await events.filter({ hasText: "The project was created for" }).waitFor();
  await events.filter({ hasText: "The cloud project was created." }).waitFor();
  await older.waitFor({ state: "hidden" });
}

export async function mendsAFailure({ open, config }) {
  await behave(config, { fail_emails: [config.email] });
  const page = await open();
  await enter(page, config);
  await create(page, config.name, { tenant: config.tenant });
  await status(page, "Failed").waitFor();
  await page.getByRole("alert").filter({ hasText: config.email }).waitFor();
  const failed = page.getByRole("listitem").filter({ hasText: config.email }).filter({ hasText: "Failed" });
  assert.match(await failed.locator(".person-error").textContent(), /\(\w+\)$/);
  await behave(config, { fail_emails: [] });
  await page.getByRole("button", { name: "Retry" }).click();
  await status(page, "Active").waitFor();
  await page.getByText("A retry was asked for.").waitFor();
}

export async function repairsWhatDiffers({ open, config }) {
  const page = await open();
  await enter(page, config);
  await page.goto(`${config.console}#/projects/${config.project}`);
  await page.getByRole("button", { name: "Verify" }).click();
  const found = page.getByRole("region", { name: "Verified on the cloud" });
  await found.getByText("The cloud differs from what it should have.").waitFor();
  await found.getByRole("listitem").filter({ hasText: config.email }).getByText("grant the role").waitFor();
  await found.getByRole("button", { name: "Repair" }).click();
  await page.getByText("What differs on the cloud is being repaired.").first().waitFor();
  await found.waitFor({ state: "detached" });
  await page.getByText("Run 2, begun").waitFor();
  await status(page, "Active").waitFor();
  await page.getByRole("button", { name: "Verify" }).click();
  await found.getByText("The cloud has what it should have.").waitFor();
}

export async function handsOutACredential({ open, config }) {
  const page = await open();
  await enter(page, config);
  await page.goto(`${config.console}#/projects/${config.project}`);
  const ask = page.getByRole("button", { name: `Credential of ${config.member}` });
  await ask.click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("can be read once").waitFor();
  await dialog.getByRole("button", { name: "Show it" }).click();
  const secret = await dialog.getByLabel("Secret key", { exact: true }).inputValue();
  assert.ok(secret.length > 8);
  assert.ok(await dialog.getByLabel("Access key", { exact: true }).inputValue());
  const isOnThePage = () => page.evaluate((words) => document.documentElement.outerHTML.includes(words) || [...document.querySelectorAll("input")].some(({ value }) => value.includes(words)), secret);
  assert.ok(await isOnThePage());
  await dialog.getByRole("button", { name: "Copy secret key" }).click();
  await dialog.getByText(/Copied|Selected/).waitFor();
  await dialog.getByRole("button", { name: "I have kept it" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.ok(!(await isOnThePage()));
  await ask.click();
  await page.getByRole("button", { name: "Show it" }).click();
  await page.getByText("This credential has been read already.").waitFor();
  assert.equal(await page.getByRole("dialog").count(), 0);
}

export async function leavesAViewWhileItsAnswerComes({ open, config }) {
  const page = await open();
  await page.goto(config.console);
  const heard = await page.evaluate(async () => {
    const { ask } = await import("/console/api.js");
    const leaving = new AbortController();
    const halfRead = { start: (body) => leaving.signal.addEventListener("abort", () => body.error(leaving.signal.reason)) };
    window.fetch = async () => new Response(new ReadableStream(halfRead));
    setTimeout(() => leaving.abort());
    return ask("GET", "/half", { signal: leaving.signal }).then(JSON.stringify, (error) => error.name);
  });
  assert.equal(heard, "AbortError");
}

export async function editsAProject({ open, config }) {
  const page = await open();
  await enter(page, config);
  await page.goto(`${config.console}#/projects/${config.project}`);
  const edit = page.getByRole("button", { name: "Edit name and description" });
  const dialog = page.getByRole("dialog");
  await edit.click();
  await dialog.getByLabel("Name").fill("");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("The name field must not be empty.").waitFor();
  await dialog.getByLabel("Name").fill(config.name);
  await dialog.getByLabel("Description").fill("What it is for");
  await page.keyboard.press("Tab");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { level: 1, name: config.name }).waitFor();
  await page.getByRole("region", { name: "About" }).getByText("What it is for").waitFor();
  // Somebody else's change between opening and saving is not written over.
  await edit.click();
  await dialog.getByLabel("Description").fill("Too late");
  await elsewhere(config, "PATCH", "", { description: "First" });
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("has been changed since you read it").waitFor();
  await dialog.getByRole("button", { name: "Keep as it is" }).click();
  await edit.click();
  assert.equal(await dialog.getByLabel("Description").inputValue(), "First");
}

// What is typed takes effect a moment later, and takes ticks away.
const filtering = (page) => page.waitForResponse("**/admin/v1/dead-letters?error=*");

export async function decidesOnDeadLetters({ open, config }) {
  const page = await open();
  await page.clock.install();
  await enter(page, config);
  await page.getByRole("link", { name: "Dead letters" }).click();
  let filtered = filtering(page);
  await page.getByLabel("Error").fill(config.mark);
  await filtered;
  const rows = page.getByRole("list", { name: "Dead letters" }).getByRole("listitem");
  await rows.filter({ hasText: "LinkEnsured" }).getByRole("button", { name: "LinkEnsured" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(config.project).first().waitFor();
  await dialog.getByLabel("Body").getByText("provider_project_id").waitFor();
  await dialog.getByRole("button", { name: "Replay" }).click();
  await page.getByText("1 dead letters are being replayed.").first().waitFor();
  await rows.filter({ hasText: "LinkEnsured" }).waitFor({ state: "detached" });
  await rows.getByRole("checkbox").check();
  // The question stays about the letter, though a filter takes effect while it is asked and takes the tick away.
  await page.clock.pauseAt(Date.now() + 5000);
  filtered = filtering(page);
  await page.getByLabel("Error").fill(config.mark);
  await page.getByRole("button", { name: "Discard chosen" }).click();
  await page.clock.resume();
  await filtered;
  await page.getByText("Choose letters to decide on several.").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Discard" }).click();
  await page.getByText("1 dead letters are being discarded.").first().waitFor();
  await page.getByText("No dead letter matches").waitFor();
  await page.getByLabel("State").selectOption("All");
  await rows.getByText("Discarded", { exact: true }).waitFor();
  await rows.getByText("Replayed", { exact: true }).waitFor();
  await page.goto(`${config.console}#/projects/${config.project}`);
  await page.getByRole("region", { name: "Timeline" }).getByText("The cloud project is in place.").waitFor();
}

export async function replaysAllThatMatch({ open, config }) {
  const page = await open();
  await enter(page, config);
  await page.getByRole("link", { name: "Dead letters" }).click();
  const all = page.getByRole("button", { name: "Replay all that match" });
  await page.getByRole("heading", { name: "Dead letters", exact: true }).waitFor();
  assert.ok(!(await all.isVisible()));
  const filtered = filtering(page);
  await page.getByLabel("Error").fill(config.mark);
  await filtered;
  await page.getByText("1–15 of 17").waitFor();
  await page.getByRole("checkbox").first().check();
  await page.getByRole("button", { name: "Next page" }).click();
  await page.getByText("16–17 of 17").waitFor();
  await page.getByRole("checkbox").first().check();
  await page.getByText("2 chosen").waitFor();
  await all.click();
  const dialog = page.getByRole("dialog", { name: "Replay 17 letters?" });
  await dialog.getByRole("button", { name: "Replay" }).click();
  await page.getByText("17 dead letters are being replayed.").first().waitFor();
  await page.getByText("No dead letter matches").waitFor();
  await page.getByLabel("State").selectOption("Replayed");
  await page.getByText("1–15 of 17").waitFor();
}

// Until the page has done what the answers before make it do: it hears of this one after them.
const settled = (page) => page.evaluate(() => fetch("/console/icon.svg").then((answer) => answer.text()));

// Shows the project anew, so that the right to hear its news is asked for; answers once it was answered with that.
async function asksToHear(page, config, status) {
  await page.getByRole("link", { name: "Projects" }).first().click();
  await page.getByRole("heading", { name: "Projects", exact: true }).waitFor();
  const answered = page.waitForResponse("**/broadcasting/auth");
  await page.route("**/broadcasting/auth", (route) => route.fulfill({ status, json: {} }), { times: 1 });
  await page.getByRole("link", { name: config.name }).click();
  await (await answered).finished();
  await settled(page);
}

export async function asksAgainToHear({ open, config }) {
  const page = await open();
  await page.clock.install();
  let asked = 0;
  page.on("request", (request) => request.url().endsWith("/broadcasting/auth") && asked++);
  const socket = page.waitForEvent("websocket");
  await enter(page, config);
  await page.clock.pauseAt(Date.now() + 5000);
  await asksToHear(page, config, 403);
  await page.clock.fastForward(20_000);
  await settled(page);
  assert.equal(asked, 1);
  // Each look asks for itself: what the first would have asked again has gone with it.
  await asksToHear(page, config, 429);
  await asksToHear(page, config, 429);
  const subscribed = (await socket).waitForEvent("framereceived", ({ payload }) => payload.includes("subscription_succeeded"));
  await page.clock.fastForward(20_000);
  await subscribed;
  assert.equal(asked, 4);
  // By push alone.
  await page.route("**/projects/*/status", (route) => route.fulfill({ status: 304 }));
  await elsewhere(config, "POST", "/suspend", {});
  await status(page, "Suspended").waitFor();
}

export async function saysWhatIsLost({ open, config }) {
  const page = await open();
  await enter(page, config);
  await page.context().setOffline(true);
  await page.getByLabel("Search").fill("anything");
  await page.getByRole("alert").getByText("The connection is lost.").waitFor();
  await page.context().setOffline(false);
  await page.getByText("The connection is lost.").waitFor({ state: "hidden" });
  await page.getByText("No project matches").waitFor();
}

export async function needsNoMouse({ open, config }) {
  const page = await open();
  await enter(page, config);
  const focus = (role, name) => page.getByRole(role, { name, exact: true }).and(page.locator(":focus")).waitFor({ timeout: 5000 });
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  const tabTo = async (role, name) => {
    const wanted = page.getByRole(role, { name, exact: true }).and(page.locator(":focus"));
    for (let tries = 0; tries < 40 && !(await wanted.count()); tries++) await press("Tab");
    await focus(role, name);
  };
  await press("Tab");
  await focus("link", "Skip to the content");
  await press("Enter");
  await focus("heading", "Projects");
  await tabTo("link", "New project");
  await press("Enter");
  await focus("heading", "New project");
  await tabTo("textbox", "Name");
  await page.keyboard.type(config.name);
  await press("Enter");
  await focus("heading", config.name);
  await status(page, "Active").waitFor();
  await tabTo("button", "Delete…");
  await press("Enter", "Escape");
  await focus("button", "Delete…");
  await press("Enter");
  await page.getByRole("dialog").waitFor();
  await tabTo("button", "Delete project");
  await press("Enter");
  await page.getByRole("heading", { name: "Projects", exact: true }).waitFor();
  await page.getByLabel("Search").fill(config.name);
  await page.getByText("No project matches").waitFor();
}

export async function keepsItsPlace({ open, config }) {
  const page = await open();
  await enter(page, config);
  await page.getByRole("link", { name: config.name }).click();
  const remove = page.getByRole("button", { name: "Delete…", exact: true });
  await remove.click();
  await elsewhere(config, "POST", "/suspend", {});
  await page.getByRole("button", { name: "Resume", includeHidden: true }).waitFor();
  await page.keyboard.press("Escape");
  await remove.and(page.locator(":focus")).waitFor({ timeout: 5000 });
}

// Returns once every worker calls region-2 no more.
async function workersKnow({ metrics }) {
  const texts = () => Promise.all(metrics.map((url) => fetch(url).then((answer) => answer.text())));
  const knows = (text) => !text.includes('uca_cloud_maintenance{') || /uca_cloud_maintenance{[^}]*region-2[^}]*} 1/.test(text);
  while (!(await texts()).every(knows)) await new Promise((resolve) => setTimeout(resolve, 200));
}

export async function keepsARegion({ open, config }) {
  const page = await open();
  await enter(page, config);
  await page.getByRole("link", { name: "Providers" }).click();
  const region = page.getByRole("list", { name: "Regions" }).locator(":scope > li").filter({ hasText: "Region 2" });
  await region.getByText("Working").waitFor();
  await region.getByRole("button", { name: "Begin maintenance…" }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("New racks");
  await page.getByRole("dialog").getByRole("button", { name: "Begin maintenance" }).click();
  await region.getByText("New racks", { exact: false }).waitFor();
  await workersKnow(config);
  await page.getByRole("link", { name: "Projects" }).first().click();
  await fill(page, config.name);
  await page.getByLabel("Region").selectOption({ label: "Region 2" });
  await page.getByRole("button", { name: "Create project" }).click();
  await page.getByText("The region is in maintenance.").first().waitFor();
  await page.getByRole("link", { name: "Providers" }).click();
  await region.getByText("for the end of the maintenance").waitFor();
  await region.getByRole("button", { name: "End maintenance" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End maintenance" }).click();
  await region.getByText("Working").waitFor();
  await page.goBack();
  await status(page, "Active").waitFor();
}

async function violations(page) {
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
  });
  return found;
}

// Every view, light and dark, wide and narrow: no violation that axe knows of, and nothing to scroll sideways.
export async function isOpenToEverybody({ open, config }) {
  const axe = await readFile("node_modules/axe-core/axe.min.js", "utf8");
  const looks = [
    { colorScheme: "light" },
    { colorScheme: "dark" },
    { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
  ];
  const problems = [];
  for (const look of looks) {
    const page = await open(look);
    const check = async (name) => {
      await page.evaluate(axe);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) problems.push(`${name} ${JSON.stringify(look)}: ${wide} px too wide`);
      problems.push(...(await violations(page)).map((words) => `${name} ${JSON.stringify(look)}: ${words}`));
    };
    await page.goto(config.console);
    await page.getByLabel("Code or token").waitFor();
    await check("sign-in");
    await enter(page, config);
    await check("projects");
    await page.getByRole("link", { name: config.name }).click();
    await page.getByText("The project was created").waitFor();
    await check("project");
    await page.getByRole("button", { name: "Members…" }).click();
    await page.getByRole("dialog").waitFor();
    await check("members");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Edit name and description" }).click();
    await page.getByRole("dialog").waitFor();
    await check("edit");
    await page.keyboard.press("Escape");
    await page.goto(`${config.console}#/projects/new`);
    await page.getByText("will have access").waitFor();
    await check("create");
    await page.goto(`${config.console}#/dead-letters?state=all`);
    await page.getByRole("heading", { name: "Dead letters", exact: true }).waitFor();
    await check("dead letters");
    await page.goto(`${config.console}#/providers`);
    await page.getByRole("heading", { name: "Providers" }).waitFor();
    await check("providers");
    await page.context().close();
  }
  assert.deepEqual(problems, []);
}
