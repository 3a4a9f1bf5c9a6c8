// Everything that happened to a project, newest first, page by page.

import { get, project } from "./api.js";
import { h, reconcile, setText } from "./dom.js";
import { card, later } from "./parts.js";
import { at } from "./words.js";

const TONES = { ProvisioningFailed: "bad", ProvisioningDelayed: "wait", LinkEnsured: "fine", UserSynced: "fine", DriftDetected: "wait", OrphanFound: "bad" };
const FIRST = 15;

export function timeline(identifier, signal) {
  const list = h("ol", { class: "timeline" });
  const more = h("button", { type: "button", class: "small", hidden: true }, "Show older");
  let size = FIRST;

  async function load() {
    const found = await get(project(identifier, `/events?per_page=${size}`), { signal }).catch(() => null);
    if (!found) return;
    reconcile(list, found.data, (event) => event.id, makeEntry, showEntry);
    more.hidden = size >= Math.min(100, found.meta.total);
  }

  more.addEventListener("click", () => ((size = 100), load()));
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
