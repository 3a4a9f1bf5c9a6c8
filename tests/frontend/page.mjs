// A watcher in a page of headless Chromium, for which only its cookie speaks.

import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { config, obey, say } from "./commands.mjs";

const { origin, token, executable, ...rest } = config;

const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox"] });
const context = await browser.newContext();
await context.addCookies([{ name: "uca_token", value: token, url: origin, httpOnly: true, sameSite: "Lax" }]);
const page = await context.newPage();
page.on("pageerror", (error) => say({ at: "broken", error: String(error) }));

await page.goto(`${origin}/watching`);
await page.exposeFunction("say", say);
for (const path of ["pusher-js/dist/web/pusher.min.js", "laravel-echo/dist/echo.iife.js"]) {
  await page.addScriptTag({ path: `node_modules/${path}` });
}
const listening = await readFile("listening.mjs", "utf8");
await page.addScriptTag({ type: "module", content: `${listening}\nwindow.watch = watch;` });
await page.waitForFunction(() => window.watch); // a module of its own text runs later than its tag is there
await page.evaluate((options) => {
  const { watch, Echo, Pusher, say } = window;
  window.watcher = watch({ ...options, authEndpoint: "/api/v1/broadcasting/auth", headers: {} }, Echo.default, Pusher, say);
}, rest);

obey(
  (verb, project) => page.evaluate(([verb, project]) => window.watcher[verb](project), [verb, project]).then(() => {}),
  () => browser.close(),
);
