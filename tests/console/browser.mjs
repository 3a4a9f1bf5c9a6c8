// One scenario in headless Chromium: `node browser.mjs <scenario> <config>`, both as JSON. It clicks and types as a person does.

import { chromium } from "playwright-core";
import * as pictures from "./pictures.mjs";
import * as clicks from "./scenarios.mjs";

const PATIENCE_MS = 60_000;

const [name, config] = process.argv.slice(2).map((each) => JSON.parse(each));

const browser = await chromium.launch({ executablePath: config.executable, args: ["--no-sandbox"] });
const wrong = [];

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => message.text().includes("Content Security Policy") && wrong.push(message.text()));
  return page;
}

try {
  await { ...clicks, ...pictures }[name]({ open, config });
  if (wrong.length) throw new Error(wrong.join("\n"));
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
  const pages = browser.contexts().flatMap((context) => context.pages());
  await Promise.all(pages.map((page, number) => page.screenshot({ path: `${config.evidence}-${number}.png` }).catch(() => {})));
} finally {
  await browser.close();
}
