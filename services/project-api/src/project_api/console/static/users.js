// A project's users: each one's role, why they are in, where they stand, and what can be done about a failure.

import { post, project } from "./api.js";
import { h, reconcile, setText, toast } from "./dom.js";
import { mayRead, showCredential } from "./credential.js";
import { button, card, select, showBadge } from "./parts.js";
import { REASONS, ROLES, USER, initials, people } from "./words.js";

const AT_ONCE = 100;

export function usersCard(identifier, again) {
  const list = h("ul", { class: "people", "aria-label": "Users of the project" });
  const search = h("input", { type: "search", placeholder: "Find a user", "aria-label": "Find a user", autocomplete: "off" });
  const only = select([["", "All"], ...Object.entries(USER).map(([word, { words }]) => [word, words])]);
  only.setAttribute("aria-label", "Show users who are");
  const summary = h("p", { class: "count" });
  const more = h("button", { type: "button", hidden: true }, "Show more");
  let all = [];
  let open = {};
  let of = null;
  let most = AT_ONCE;

  function draw() {
    const words = search.value.trim().toLowerCase();
    const found = all.filter((user) => (!only.value || user.status === only.value) && (!words || `${user.name} ${user.email}`.toLowerCase().includes(words)));
    // Who failed is what a person came to see.
    const sorted = [...found].sort((a, b) => (b.status === "failed") - (a.status === "failed"));
    reconcile(list, sorted.slice(0, most), (user) => user.id, makePerson, (child, user) => showPerson(child, user, of, open, deeds));
    more.hidden = found.length <= most;
    setText(summary, counted(all));
  }

  async function sync(user) {
    const { message } = await post(project(identifier, `/users/${user.id}/sync`), {});
    toast(message);
    again();
  }

  const deeds = { sync, credential: (user) => showCredential(identifier, user) };

  search.addEventListener("input", draw);
  only.addEventListener("change", draw);
  more.addEventListener("click", () => ((most += 10 * AT_ONCE), draw()));
  const tools = h("div", { class: "tools" }, search, only);
  return {
    element: card("Users", summary, tools, list, more),
    show(shown, actions) {
      [all, of, open] = [shown.users.local, shown, actions];
      tools.hidden = all.length < 8;
      draw();
    },
  };
}

function counted(users) {
  const counts = Object.entries(USER).map(([word, { words }]) => [users.filter((user) => user.status === word).length, words.toLowerCase()]);
  return `${people(users.length)}: ${counts.filter(([count]) => count).map(([count, words]) => `${count} ${words}`).join(", ") || "none"}`;
}

function makePerson(user) {
  const person = h("li", { class: "person" });
  person.badge = h("span", { class: "badge" });
  person.error = h("p", { class: "person-error" });
  person.end = h("div", { class: "person-end" });
  person.name = h("strong", {});
  person.about = h("span", { class: "find-about" });
  person.why = h("span", { class: "reasons" });
  person.append(
    h("span", { class: "avatar", "aria-hidden": "true" }, initials(user.name)),
    h("div", { class: "person-who" }, person.name, person.about, person.why, person.error),
    person.badge,
    person.end,
  );
  return person;
}

function showPerson(person, user, of, open, deeds) {
  setText(person.name, user.name);
  setText(person.about, user.email);
  const why = [ROLES[user.role] ?? user.role, ...user.reasons.map((reason) => REASONS[reason] ?? reason)];
  if (person.why.dataset.words !== why.join()) {
    person.why.dataset.words = why.join();
    person.why.replaceChildren(...why.map((words, number) => h("span", { class: number ? "reason" : "reason role" }, words)));
  }
  showBadge(person.badge, USER[user.status]);
  person.classList.toggle("failed", user.status === "failed");
  setText(person.error, user.error ? `${user.error.message} (${user.error.code})` : "");
  person.error.hidden = !user.error;
  const may = {
    credential: mayRead(user, of),
    sync: open.can_sync_user && user.status !== "revoked",
  };
  if (person.end.dataset.may === JSON.stringify(may)) return;
  person.end.dataset.may = JSON.stringify(may);
  person.end.replaceChildren(
    may.credential ? button("Credential…", () => deeds.credential(user), { kind: "small", "aria-label": `Credential of ${user.name}` }) : "",
    may.sync ? button("Sync again", () => deeds.sync(user), { kind: "small", "aria-label": `Sync again: ${user.name}, with a new credential` }) : "",
  );
}
