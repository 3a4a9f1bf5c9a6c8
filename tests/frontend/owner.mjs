// What the owner's frontend does, in its order and with its payloads, in a page of Chromium: `node owner.mjs <config>`.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const config = JSON.parse(process.argv[2]);
const browser = await chromium.launch({ executablePath: config.executable, args: ["--no-sandbox"] });

// Runs in the page. `config` and Echo's and Pusher's builds are there.
async function frontend(config) {
  const { Echo, Pusher } = window;
  const heard = [];
  const token = () => decodeURIComponent(document.cookie.match(/XSRF-TOKEN=([^;]*)/)[1]);
  const pause = () => new Promise((resolve) => setTimeout(resolve, 500));

  async function call(method, url, body) {
    const headers = { Accept: "application/json", "X-Requested-With": "XMLHttpRequest" };
    if (method !== "GET") Object.assign(headers, { "Content-Type": "application/json", "X-XSRF-TOKEN": token() });
    const response = await fetch(url, { method, headers, credentials: "include", body: body && JSON.stringify(body) });
    return { status: response.status, data: await response.json().catch(() => null) };
  }

  async function poll(identifier, words) {
    for (;;) {
      const { data } = await call("GET", `/admin/v1/projects/${identifier}/status`);
      if (words.includes(data.project.status)) return data;
      await pause();
    }
  }

  await fetch("/sanctum/csrf-cookie", { credentials: "include" });
  const user = (await call("GET", "/api/v1/business/auth/user")).data;
  const regions = (await call("GET", "/admin/v1/regions")).data;
  const suggestions = (await call("GET", "/admin/v1/project-memberships/suggestions?scope=internal")).data;
  const list = await call("GET", "/admin/v1/projects?page=1&per_page=15");
  const created = await call("POST", "/admin/v1/projects", {
    name: config.name,
    description: "",
    type: "vpc",
    region: regions.data[0].code,
    assignment_scope: "internal",
    member_user_ids: suggestions.data.map((each) => each.id),
  });
  const identifier = created.data.data.id;

  const echo = new Echo.default({
    broadcaster: "reverb",
    Pusher,
    key: config.key,
    wsHost: location.hostname,
    wsPort: Number(location.port),
    forceTLS: false,
    enabledTransports: ["ws"],
    authEndpoint: "/api/v1/broadcasting/auth",
  });
  echo.private(`projects.${identifier}`).listen(".ProjectProvisioningUpdated", (event) => heard.push(event));

  const failed = await poll(identifier, ["active", "failed"]);
  await window.mend();
  const retried = await call("POST", `/admin/v1/projects/${identifier}/retry-provisioning`);
  const active = await poll(identifier, ["active", "failed"]);
  while (!heard.some((event) => event.status === "active")) await pause();
  const detail = await call("GET", `/admin/v1/projects/${identifier}`);
  const removed = await call("DELETE", `/admin/v1/projects/${identifier}`);
  let gone;
  do await pause();
  while ((gone = await call("GET", `/admin/v1/projects/${identifier}`)).status !== 404);
  return { user, list, created, failed, retried, active, detail, removed, gone, heard, identifier };
}

try {
  const context = await browser.newContext({ bypassCSP: true });
  await context.addCookies([{ name: "uca_token", value: config.token, url: config.origin, httpOnly: true, sameSite: "Lax" }]);
  const page = await context.newPage();
  await page.goto(`${config.origin}/healthz`);
  await page.exposeFunction("mend", async () => {
    const body = JSON.stringify({ fail_emails: [] });
    await fetch(`${config.simulator}/_sim/behaviour`, { method: "PUT", headers: { "Content-Type": "application/json" }, body });
  });
  for (const path of ["pusher-js/dist/web/pusher.min.js", "laravel-echo/dist/echo.iife.js"]) await page.addScriptTag({ path: `node_modules/${path}` });
  const { user, list, created, failed, retried, active, detail, removed, gone, heard, identifier } = await page.evaluate(frontend, config);

  assert.equal(user.data.role, "admin");
  assert.equal(list.status, 200);
  assert.equal(list.data.meta.current_page, 1);
  assert.equal(created.status, 201);
  assert.deepEqual([created.data.status, created.data.identifier], ["provisioning", identifier]);
  assert.ok(detail.data.data.users.every((each) => each.id && each.email));
  assert.equal(failed.project.status, "failed");
  assert.deepEqual(failed.project.provisioning_progress.map((step) => step.status), ["completed", "failed", "not_started"]);
  assert.equal(failed.project.users.local.filter((each) => each.status === "failed").length, 1);
  assert.equal(retried.status, 202);
  assert.equal(active.project.status, "active");
  assert.ok(active.project.provisioning_progress.every((step) => step.status === "completed"));
  assert.ok(heard.every((event) => event.step.id && event.step.label && event.step.status));
  assert.equal(removed.status, 202);
  assert.equal(gone.data.success, false);
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await browser.close();
}
