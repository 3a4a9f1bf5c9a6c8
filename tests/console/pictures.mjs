// Pictures of the main views, on a desk and on a phone, into config.folder.

import { enter, status } from "./scenarios.mjs";

const LOOKS = {
  desktop: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
};

export async function takesPictures({ open, config }) {
  for (const [look, options] of Object.entries(LOOKS)) await take(await open(options), look, config);
}

async function take(page, look, config) {
  const go = (place) => page.goto(`${config.console}#${place}`);
  const picture = async (name) => {
    await page.evaluate(() => document.querySelectorAll(".toast").forEach((toast) => toast.remove()));
    await page.screenshot({ path: `${config.folder}/${name}-${look}.png`, animations: "disabled" });
  };
  await go("/projects");
  await page.getByLabel("Code or token").waitFor();
  await picture("sign-in");
  await enter(page, config);
  await go(`/projects/${config.going}`);
  await status(page, "Provisioning").waitFor();
  await page.getByText("The cloud project was created.").waitFor();
  await page.getByRole("status").getByText("Live").waitFor();
  await picture("project-running");
  await go(`/projects?tenant_id=${config.tenant}`);
  await page.getByRole("link", { name: config.failedName }).waitFor();
  await picture("projects");
  await go(`/projects/${config.failed}`);
  await page.getByText("The project was created").waitFor();
  await picture("project-failed");
  await go(`/projects/${config.active}`);
  await page.getByText("The project was created").waitFor();
  await page.getByRole("heading", { name: "Users" }).scrollIntoViewIfNeeded();
  await page.getByRole("heading", { name: "Users" }).evaluate((heading) => window.scrollBy(0, heading.getBoundingClientRect().top - 150));
  await picture("project-users");
  await page.getByRole("button", { name: "Edit name and description" }).click();
  await page.getByRole("dialog").waitFor();
  await picture("project-edit");
  await page.keyboard.press("Escape");
  await go("/projects/new");
  await page.getByLabel("Name").fill("Imaging archive");
  await page.getByLabel("Tenant").selectOption(String(config.tenant));
  await page.getByRole("complementary").getByText(config.person).waitFor();
  await picture("create");
  await go(`/dead-letters?error=${config.mark}`);
  await page.getByRole("button", { name: "ProjectCreated" }).click();
  await page.getByRole("dialog").waitFor();
  await picture("dead-letter");
  await page.keyboard.press("Escape");
  await picture("dead-letters");
  await go("/providers");
  await page.getByText("New racks").waitFor();
  await picture("providers");
  await page.context().close();
}
