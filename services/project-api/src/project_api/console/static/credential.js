// A user's cloud credential: shown once, after a question, and on record. Nothing of it stays on the page.

import { get, mayChange, project, session } from "./api.js";
import { announce, h } from "./dom.js";
import { button, confirm, dialog, facts, field } from "./parts.js";

export const mayRead = (user, of) => user.status === "synced" && (mayChange(of) || user.id === session.user?.id);

export async function showCredential(identifier, user) {
  const words = `The credential of ${user.name} can be read once, by one person, and who reads it is kept on record. Sync the user again for a new one.`;
  if (!(await confirm("Show the credential?", words, { yes: "Show it", kind: "primary" }))) return;
  const { data } = await get(project(identifier, `/users/${user.id}/credential`));
  await dialog(`Credential of ${user.name}`, (close) => [
    h("p", {}, "Keep it now: it is not shown a second time."),
    h("div", { class: "form credential" }, secret("Access key", data.access_key), secret("Secret key", data.secret_key), facts([["Region", data.region], ["Provider", data.provider]])),
    h("div", { class: "dialog-end" }, h("button", { type: "button", class: "primary", onclick: () => close(undefined) }, "I have kept it")),
  ]);
}

function secret(label, value) {
  const control = h("input", { class: "code", value, readonly: true, autocomplete: "off", spellcheck: "false" });
  const copy = button("Copy", (self) => copied(control, self), { kind: "small", "aria-label": `Copy ${label.toLowerCase()}` });
  return h("div", { class: "with-button" }, field(label, control).element, copy);
}

// Without https a browser has no clipboard for pages: then it is selected, for the keys to copy.
async function copied(control, self) {
  control.select();
  if (navigator.clipboard) await navigator.clipboard.writeText(control.value);
  self.textContent = navigator.clipboard ? "Copied" : "Selected";
  announce(navigator.clipboard ? "Copied." : "Selected. Copy it with Control and C.");
}
