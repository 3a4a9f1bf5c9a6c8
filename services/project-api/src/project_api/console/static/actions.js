// What can be done with a project now: the buttons follow the status's own `actions`.

import { get, mayChange, post, project, put, remove } from "./api.js";
import { h, icon, reconcile, toast } from "./dom.js";
import { button, card, confirm, dialog } from "./parts.js";
import { picker } from "./picker.js";
import { CHANGES, people } from "./words.js";

const HARMLESS = null;

// By action: its words, how it is asked for, and what a person has to confirm first.
const ACTIONS = [
  ["can_retry", "Retry", "retry-provisioning", HARMLESS, "primary"],
  ["can_resume", "Resume", "resume", HARMLESS, "primary"],
  ["can_provision", "Provision again", "provision", HARMLESS, ""],
  ["can_cancel", "Cancel run", "cancel", ["Cancel this run?", "Workers stop at their next step. What is done already stays; a retry goes on from there.", "Cancel the run"], ""],
  ["can_suspend", "Suspend", "suspend", ["Suspend this project?", "Nobody reaches it on the cloud until it is resumed. Nothing is deleted.", "Suspend"], ""],
];

export function actionsBar(identifier, name, again, verified) {
  const bar = h("div", { class: "actions", role: "group", "aria-label": "Actions" });
  let users = [];
  let shown = "";

  async function act(verb, question, kind) {
    if (question && !(await confirm(question[0], question[1], { yes: question[2], kind: kind || "primary" }))) return;
    const { message } = await post(project(identifier, `/${verb}`), {});
    toast(message);
    again();
  }

  async function removal() {
    const words = `All access is revoked and ${name()} is removed from the cloud. This cannot be undone.`;
    if (!(await confirm(`Delete ${name()}?`, words, { yes: "Delete project", kind: "danger" }))) return;
    toast((await remove(project(identifier))).message);
    again();
  }

  async function verify() {
    verified(await get(project(identifier, "/verify")), () => act("repair", HARMLESS));
  }

  function show(body) {
    users = body.project.users.local;
    const open = body.actions;
    const words = JSON.stringify(open);
    if (!mayChange(body.project) || words === shown) return;
    shown = words;
    const had = bar.contains(document.activeElement);
    const buttons = [
      ...ACTIONS.filter(([action]) => open[action]).map(([action, label, verb, question, kind]) => [action, () => button(label, () => act(verb, question), { kind })]),
      open.can_change_members && ["members", () => button("Members…", () => members(identifier, users, again))],
      ["verify", () => button("Verify", verify, { title: "Read the cloud and compare" })],
      open.can_delete && ["delete", () => button("Delete…", removal, { kind: "danger-quiet" })],
    ].filter(Boolean);
    // A button that stays is kept: a dialog that it opened gives the focus back to it.
    reconcile(bar, buttons, ([key]) => key, ([, make]) => make(), () => {});
    if (had && !bar.contains(document.activeElement)) bar.querySelector("button").focus();
  }

  return { element: bar, show };
}

async function members(identifier, users, again) {
  const explicit = users.filter((user) => user.reasons.includes("explicit"));
  const own = new AbortController();
  const chosen = await dialog("Members", (close) => {
    const choice = picker({ chosen: explicit, signal: own.signal });
    return [
      choice.element,
      h(
        "div",
        { class: "dialog-end" },
        h("button", { type: "button", onclick: () => close(undefined) }, "Keep as it is"),
        h("button", { type: "button", class: "primary", onclick: () => close(choice.users().map((user) => user.id)) }, "Change members"),
      ),
    ];
  });
  own.abort();
  if (!chosen) return;
  toast((await put(project(identifier, "/members"), { user_ids: chosen })).message);
  again();
}

export function verification(found, close, repair) {
  const drift = found.drift.map((change) => h("li", {}, h("strong", {}, change.name), `: ${change.actions.map((action) => CHANGES[action] ?? action).join(", ")}${change.former.length > 0 ? ` (${change.former.join(", ")})` : ""}`));
  const tone = found.in_sync ? "fine" : "bad";
  return card(
    "Verified on the cloud",
    h("div", { class: `notice ${tone}`, role: "status" }, icon(found.in_sync ? "check" : "cross"), h("div", {}, h("strong", {}, found.message), h("p", {}, found.project_exists ? `The cloud project is there (${found.provider}).` : `There is no cloud project (${found.provider}).`))),
    drift.length > 0 && [h("p", {}, `${people(drift.length)} differ:`), h("ul", { class: "drift" }, drift)],
    !found.in_sync && button("Repair", () => repair().then(close), { kind: "small primary" }),
    h("button", { type: "button", class: "small", onclick: close }, "Close"),
  );
}
