// Choosing users: a search whose finds are ticked, and the chosen ones as tags that can be taken off.

import { get, query, session } from "./api.js";
import { announce, h, reconcile, setText } from "./dom.js";
import { field, later } from "./parts.js";
import { ROLES } from "./words.js";

// `changed(users)` after every choice; `tenant()` says whose users are looked for.
export function picker({ chosen = [], changed = () => {}, tenant = () => null, signal }) {
  const users = new Map(chosen.map((user) => [user.id, user]));
  const tags = h("ul", { class: "tags", "aria-label": "Chosen users" });
  const finds = h("ul", { class: "finds", "aria-label": "Users found" });
  const words = h("p", { class: "field-hint", role: "status" });
  const search = h("input", { type: "search", autocomplete: "off", placeholder: "Name or e-mail" });
  const asked = field("Members", search, { hint: "Search, then tick. Administrators and the tenant's users are in anyway.", wide: true });

  function show() {
    reconcile(tags, [...users.values()], (user) => user.id, makeTag, () => {});
    tags.hidden = users.size === 0;
  }

  function makeTag(user) {
    const off = h("button", { type: "button", class: "tag-off", "aria-label": `Take ${user.name} off` }, "×");
    off.addEventListener("click", () => (choose(user, false), search.focus()));
    return h("li", { class: "tag" }, user.name, off);
  }

  function choose(user, isIn) {
    if (isIn) users.set(user.id, user);
    else users.delete(user.id);
    const box = finds.querySelector(`[data-key="${user.id}"] input`);
    if (box) box.checked = isIn;
    announce(isIn ? `${user.name} is chosen.` : `${user.name} is taken off.`);
    show();
    changed([...users.values()]);
  }

  function makeFind(user) {
    const box = h("input", { type: "checkbox" });
    box.addEventListener("change", () => choose(user, box.checked));
    const about = h("span", { class: "find-about" }, `${user.email} · ${ROLES[user.role]}`);
    return h("li", {}, h("label", { class: "find" }, box, h("span", {}, user.name), about));
  }

  const look = later(async (isLatest) => {
    const wanted = search.value.trim();
    if (!wanted) return void (finds.replaceChildren(), setText(words, ""));
    const path = `${session.base}/users${query({ search: wanted, tenant_id: tenant(), per_page: 20 })}`;
    const found = await get(path, { signal }).catch(() => null);
    if (!isLatest()) return;
    if (!found) return setText(words, "Users cannot be looked for right now.");
    reconcile(finds, found.data, (user) => user.id, makeFind, (child, user) => (child.querySelector("input").checked = users.has(user.id)));
    setText(words, found.meta.total ? `${found.meta.total} found` : "Nobody found.");
  });

  search.addEventListener("input", look);
  show();
  return { element: h("div", { class: "picker" }, asked.element, words, finds, tags), users: () => [...users.values()], field: asked };
}
