// The health of each region: whether its cloud is called at all, how that goes, and maintenance at a person's word.

import { get, post, remove } from "./api.js";
import { h, reconcile, setText, toast } from "./dom.js";
import { repeat } from "./live.js";
import { button, confirm, dialog, empty, facts, field, heading, showBadge } from "./parts.js";
import { at, since } from "./words.js";

const ROOT = "/admin/v1/providers";

const STATES = {
  ok: { words: "Working", icon: "check", tone: "fine" },
  limited: { words: "Slowed down", icon: "wait", tone: "wait" },
  recovering: { words: "Being tried again", icon: "wait", tone: "wait" },
  failing: { words: "Failing", icon: "cross", tone: "bad" },
  maintenance: { words: "Maintenance", icon: "pause", tone: "wait" },
  inactive: { words: "Switched off", icon: "pause", tone: "idle" },
  unknown: { words: "No report", icon: "dot", tone: "idle" },
};
const BREAKER = { closed: "closed", half_open: "half open, one call probes", open: "open, no calls" };
const WAITING = { provider: "for the provider", rate: "for the rate limit", maintenance: "for the end of the maintenance", retry: "for their next try", breaker: "for the provider" };

export async function show({ signal }) {
  const list = h("ul", { class: "regions", "aria-label": "Regions" });
  const load = async () => {
    const { data } = await get(ROOT, { signal });
    reconcile(list, data, (region) => region.code, () => makeRegion(() => refresh()), showRegion);
    if (!data.length) list.replaceChildren(empty("No regions", "The settings name none."));
  };
  const refresh = repeat(load, () => 3000, signal);
  await load();
  refresh();
  const lead = h("p", { class: "lead" }, "In maintenance a region is not called; work waits for its end and loses no tries.");
  return h("div", {}, heading("Providers"), lead, list);
}

function makeRegion(again) {
  const card = h("li", { class: "card region" });
  card.name = h("h2", {});
  card.badge = h("span", { class: "badge" });
  card.words = h("p", { class: "region-words" });
  card.facts = h("div", {});
  card.workers = h("ul", { class: "workers" });
  card.end = h("div", { class: "region-end" });
  card.again = again;
  card.append(h("div", { class: "region-head" }, card.name, card.badge), card.words, card.facts, card.workers, card.end);
  return card;
}

function showRegion(card, region) {
  setText(card.name, region.name);
  showBadge(card.badge, STATES[region.state] ?? STATES.unknown);
  setText(card.words, wordsOf(region));
  card.facts.replaceChildren(
    facts([
      ["Region", region.code],
      ["Provider", region.provider],
      ["Runs", `${region.projects} going on`],
      ["Calls", region.workers.length ? `${Math.round(region.calls_per_minute)} a minute` : null],
      ["Failed calls", region.workers.length ? `${Math.round(region.failures_per_minute)} a minute` : null],
      ["Waiting", region.waiting.map(({ code, projects }) => `${projects} ${WAITING[code] ?? code}`).join(", ") || "none"],
    ]),
  );
  const replicas = counted(region.workers);
  reconcile(card.workers, [...replicas.keys()], (words) => words, () => h("li", {}), (child, words) => {
    setText(child, replicas.get(words) > 1 ? `${words} (${replicas.get(words)} replicas)` : words);
  });
  showSwitch(card, region);
}

// What the replicas say, and how many of them say the same.
function counted(workers) {
  const counts = new Map();
  for (const { service, breaker, limited_until } of workers) {
    const words = `${service}: breaker ${BREAKER[breaker] ?? breaker}${limited_until ? `, asked to wait until ${at(limited_until)}` : ""}`;
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return counts;
}

function wordsOf({ maintenance, state }) {
  if (maintenance) return `${maintenance.reason || "No reason given"} · begun ${since(maintenance.begun_at)} by ${maintenance.begun_by}`;
  if (state === "unknown") return "No worker has called it lately, or none runs.";
  return "";
}

function showSwitch(card, region) {
  const wanted = !region.is_active ? "none" : region.maintenance ? "end" : "begin";
  if (card.end.dataset.wanted === wanted) return;
  card.end.dataset.wanted = wanted;
  const path = `${ROOT}/${encodeURIComponent(region.code)}/maintenance`;
  const begin = async () => {
    const reason = await askReason(region.name);
    if (reason === undefined) return;
    toast((await post(path, { reason })).message);
    card.again();
  };
  const end = async () => {
    if (!(await confirm("End the maintenance?", `Work that waits for ${region.name} goes on.`, { yes: "End maintenance", kind: "primary" }))) return;
    toast((await remove(path)).message);
    card.again();
  };
  const had = card.end.contains(document.activeElement);
  card.end.replaceChildren(...(wanted === "none" ? [] : [wanted === "end" ? button("End maintenance", end) : button("Begin maintenance…", begin)]));
  if (had) card.end.querySelector("button")?.focus();
}

function askReason(name) {
  return dialog(`Maintenance of ${name}`, (close) => {
    const reason = field("Reason", h("input", { type: "text", maxlength: "255", autocomplete: "off" }), { hint: "Shown to everybody whose project waits." });
    const form = h(
      "form",
      { novalidate: true },
      h("p", {}, "The cloud is not called until the maintenance ends. Runs wait; none of them fails by it."),
      reason.element,
      h("div", { class: "dialog-end" }, h("button", { type: "button", onclick: () => close(undefined) }, "Keep as it is"), h("button", { type: "submit", class: "primary" }, "Begin maintenance")),
    );
    form.addEventListener("submit", (event) => (event.preventDefault(), close(reason.control.value.trim())));
    return form;
  });
}
