// Everything that happened to a project, newest first, page by page.

import { get, project } from "./api.js";
import { h, reconcile, setText } from "./dom.js";
import { card, later } from "./parts.js";
import { at } from "./words.js";

const TONES = { ProvisioningFailed: "bad", ProvisioningDelayed: "wait", LinkEnsured: "fine", UserSynced: "fine", DriftDetected: "wait", OrphanFound: "bad" };
const FIRST = 15;
const MORE = 100;

export function timeline(identifier, signal) {
  const list = h("ol", { class: "timeline" });
  const more = h("button", { type: "button", class: "small", hidden: true }, "Show older");
  let older = 0;

  async function load() {
    const size = older ? MORE : FIRST;
    const pages = Array.from({ length: older || 1 }, (_, before) => project(identifier, `/events?per_page=${size}&page=${before + 1}`));
    const found = await Promise.all(pages.map((page) => get(page, { signal }))).catch(() => null);
    if (!found) return;
    // What happens between two pages' answers moves an event from one to the next, so it may come twice.
    const events = new Map(found.flatMap(({ data }) => data).map((event) => [event.id, event]));
    reconcile(list, [...events.values()], (event) => event.id, makeEntry, showEntry);
    more.hidden = pages.length * size >= found[0].meta.total;
  }

  more.addEventListener("click", () => (older++, load()));
  return { element: card("Timeline", list, more), soon: later(load, 400) };
}

function makeEntry() {
  const entry = h("li", {});
  entry.words = h("span", { class: "entry-words" });
  entry.time = h("span", { class: "entry-time" });
  entry.append(entry.words, entry.time);
  return entry;
}

function showEntry(entry, event) {
  entry.className = `entry ${TONES[event.type] ?? "idle"}`;
  setText(entry.words, event.message);
  setText(entry.time, `run ${event.run} · ${at(event.time)}`);
}
