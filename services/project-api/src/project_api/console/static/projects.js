// The list of projects: filtered, paged, and live.

import { ask, get, query, session } from "./api.js";
import { h, icon, reconcile, setText } from "./dom.js";
import { push, repeat } from "./live.js";
import { empty, field, heading, later, meter, pager, select, showBadge } from "./parts.js";
import { tenantChoice } from "./tenants.js";
import { since, STATUS } from "./words.js";

const FILTERS = ["search", "status", "region", "tenant_id", "sort", "page"];
const GOING = ["provisioning", "pending"];

export async function show({ signal, values }) {
  const chosen = Object.fromEntries(FILTERS.map((name) => [name, values.get(name) ?? ""]));
  const [regions, tenant] = await Promise.all([
    get(`${session.base}/regions`, { signal }),
    tenantChoice({ none: "Any", chosen: chosen.tenant_id, signal }),
  ]);
  const list = h("ul", { class: "rows", "aria-label": "Projects" });
  const below = h("div", { class: "below" });
  const watched = new Map();
  let etag = null;

  async function load() {
    const path = `${session.base}/projects${query({ ...chosen, sort: chosen.sort || "-created_at" })}`;
    const answer = await ask("GET", path, { signal, headers: etag ? { "If-None-Match": etag } : {} });
    if (answer.status === 304) return;
    etag = answer.headers.get("ETag");
    const { data, meta } = answer.content;
    reconcile(list, data, (row) => row.identifier, makeRow, (child, row) => showRow(child, row, tenant.names));
    watch(data.filter((row) => GOING.includes(row.status)).map((row) => row.identifier));
    list.hidden = !data.length;
    below.replaceChildren(data.length ? pager(meta, turn) : nothing(chosen));
  }

  function watch(identifiers) {
    for (const [identifier, unwatch] of watched) if (!identifiers.includes(identifier)) (unwatch(), watched.delete(identifier));
    for (const identifier of identifiers) {
      if (!watched.has(identifier)) watched.set(identifier, push().watch(identifier, (_, news) => hear(identifier, news)));
    }
  }

  function hear(identifier, news) {
    const child = [...list.children].find(({ dataset }) => dataset.key === identifier);
    if (child) showProgress(child, news);
  }

  function choose(name, value) {
    Object.assign(chosen, { page: "" }, { [name]: value });
    history.replaceState(null, "", `#/projects${query(chosen)}`);
    etag = null;
    list.setAttribute("aria-busy", "true");
    return refresh().finally(() => list.removeAttribute("aria-busy"));
  }

  const turn = (page) => (choose("page", String(page)), window.scrollTo(0, 0));
  const refresh = repeat(load, () => (watched.size && !push().isLive ? 2500 : 8000), signal);
  signal.addEventListener("abort", () => watched.forEach((unwatch) => unwatch()));

  const top = heading("Projects", session.writes && h("a", { class: "button primary", href: "#/projects/new" }, icon("plus"), "New project"));
  await load();
  refresh();
  return h("div", {}, top, filters(chosen, regions.data, tenant, choose), list, below);
}

function filters(chosen, regions, tenant, choose) {
  const search = h("input", { type: "search", value: chosen.search, placeholder: "Name or identifier", autocomplete: "off" });
  search.addEventListener("input", later(() => choose("search", search.value.trim())));
  const narrowed = (label, name, options) => {
    const control = select(options, chosen[name]);
    control.addEventListener("change", () => choose(name, control.value));
    return field(label, control).element;
  };
  tenant.control.addEventListener("change", () => choose("tenant_id", tenant.control.value));
  return h(
    "form",
    { class: "filters", role: "search", "aria-label": "Filter projects", onsubmit: (event) => event.preventDefault() },
    field("Search", search).element,
    narrowed("Status", "status", [["", "Any"], ...Object.entries(STATUS).filter(([word]) => word !== "pending").map(([word, { words }]) => [word, words])]),
    narrowed("Region", "region", [["", "Any"], ...regions.map(({ code, name }) => [code, name])]),
    tenant.elements,
    narrowed("Order", "sort", [["", "Newest first"], ["created_at", "Oldest first"], ["name", "By name"], ["-updated_at", "Changed last"]]),
  );
}

function nothing(chosen) {
  if (FILTERS.some((name) => chosen[name] && name !== "sort")) {
    return empty("No project matches", "Try other words, or fewer filters.", h("a", { class: "button", href: "#/projects" }, "Show all"));
  }
  const words = session.writes ? "Create one: it answers at once, and you watch it come to life." : "You are in no project yet.";
  return empty("No projects yet", words, session.writes && h("a", { class: "button primary", href: "#/projects/new" }, "New project"));
}

function makeRow() {
  const row = h("li", { class: "row" });
  row.parts = {
    link: h("a", { class: "row-name" }),
    about: h("span", { class: "row-about" }),
    badge: h("span", { class: "badge" }),
    meter: meter("Progress"),
    time: h("span", { class: "row-time" }),
  };
  const { link, about, badge, meter: bar, time } = row.parts;
  row.append(h("div", { class: "row-what" }, link, about), badge, h("div", { class: "row-progress" }, bar.element), time);
  return row;
}

function showRow(row, project, names) {
  const { link, about, time } = row.parts;
  setText(link, project.name);
  link.href = `#/projects/${project.identifier}`;
  setText(about, [project.identifier, project.region, names.get(String(project.tenant_id))].filter(Boolean).join(" · "));
  setText(time, since(project.created_at));
  time.title = new Date(project.created_at).toLocaleString();
  showProgress(row, project);
}

function showProgress(row, { status, progress, provisioning_progress: steps }) {
  const meaning = STATUS[status];
  showBadge(row.parts.badge, meaning);
  row.parts.meter.element.hidden = !GOING.includes(status) && !steps?.some((step) => step.status === "pending");
  row.parts.meter.show(progress, meaning.tone);
}
