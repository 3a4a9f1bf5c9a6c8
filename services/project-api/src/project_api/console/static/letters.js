// Dead letters: messages that could not be understood or kept failing. Inspect one, replay or discard any.

import { get, post, query } from "./api.js";
import { announce, h, reconcile, setText, toast } from "./dom.js";
import { repeat } from "./live.js";
import { button, confirm, dialog, empty, facts, field, heading, later, pager, select } from "./parts.js";
import { at, since } from "./words.js";

const ROOT = "/admin/v1/dead-letters";
const SERVICES = ["project-api", "link-provisioner", "user-syncer", "status-projector"];
const STATES = { open: "Open", replayed: "Replayed", discarded: "Discarded", all: "All" };
const FILTERS = ["service", "project", "error", "state", "since", "page"];
const AGES = { "": "Any time", 1: "Last hour", 24: "Last day", 168: "Last week" };

export async function show({ signal, values }) {
  const chosen = Object.fromEntries(FILTERS.map((name) => [name, values.get(name) ?? ""]));
  const list = h("ul", { class: "rows letters", "aria-label": "Dead letters" });
  const below = h("div", { class: "below" });
  const marked = new Map();
  const bulk = h("div", { class: "actions", role: "group", "aria-label": "Decide on several" });
  const count = h("span", { class: "count", role: "status" });

  // What is filtered by, but for the state: only open letters are decided on.
  function filter() {
    const { service, project, error } = chosen;
    const since = chosen.since && new Date(Date.now() - chosen.since * 3600 * 1000).toISOString();
    return Object.fromEntries(Object.entries({ service, project, error, since }).filter(([, value]) => value));
  }

  async function load() {
    const { data, meta } = await get(`${ROOT}${query({ ...filter(), state: chosen.state, page: chosen.page })}`, { signal });
    reconcile(list, data, keyOf, makeRow, showRow);
    list.hidden = !data.length;
    for (const letter of data) if (letter.state !== "open") marked.delete(keyOf(letter));
    bulk.hidden = !marked.size && !data.some((letter) => letter.state === "open");
    mark();
    below.replaceChildren(data.length ? pager(meta, (page) => choose("page", String(page))) : nothing(chosen));
  }

  function mark() {
    setText(count, marked.size ? `${marked.size} chosen` : "Choose letters to decide on several.");
    for (const each of [replay, discard]) each.disabled = !marked.size;
    replayAll.hidden = !Object.keys(filter()).length;
  }

  function makeRow(letter) {
    const row = h("li", { class: "row" });
    const box = h("input", { type: "checkbox", "aria-label": `Choose letter ${letter.id} of ${letter.service}` });
    box.addEventListener("change", () => {
      if (box.checked) marked.set(keyOf(letter), letter);
      else marked.delete(keyOf(letter));
      mark();
    });
    row.box = box;
    row.state = h("span", { class: "badge" });
    const open = h("button", { type: "button", class: "row-name link", onclick: () => inspect(letter, decide) }, letter.type || letter.routing_key);
    const about = [letter.service, letter.project, `${letter.tries} ${letter.tries === 1 ? "try" : "tries"}`].filter(Boolean).join(" · ");
    row.append(box, h("div", { class: "row-what" }, open, h("span", { class: "row-about" }, about)), h("p", { class: "row-error" }, h("strong", {}, letter.reason), ` ${letter.error}`), row.state, h("span", { class: "row-time", title: at(letter.parked_at) }, since(letter.parked_at)));
    return row;
  }

  function showRow(row, letter) {
    row.box.hidden = letter.state !== "open";
    row.box.checked = marked.has(keyOf(letter));
    row.state.className = `badge ${{ open: "bad", replayed: "fine", discarded: "idle" }[letter.state]}`;
    setText(row.state, STATES[letter.state]);
  }

  function choose(name, value) {
    Object.assign(chosen, { page: "" }, { [name]: value });
    // Other pages keep their ticks; what another filter may hide must not be decided on.
    if (name !== "page") marked.clear();
    history.replaceState(null, "", `#/dead-letters${query(chosen)}`);
    return refresh();
  }

  async function decide(verb, choice) {
    const { message } = await post(`${ROOT}/${verb}`, choice);
    toast(message);
    announce(message);
    marked.clear();
    hurried = 6;
    refresh();
  }

  // What the question is about is what is done, though a filter typed just before may take the ticks away meanwhile.
  async function discardChosen() {
    const letters = [...marked.values()];
    if (await sure(letters.length)) await decide("discard", these(letters));
  }

  // What was decided is carried out by its service, a moment later.
  let hurried = 0;
  const refresh = repeat(load, () => (hurried-- > 0 ? 700 : 10_000), signal);
  const replay = button("Replay chosen", () => decide("replay", these(marked.values())));
  const discard = button("Discard chosen", discardChosen, { kind: "danger-quiet" });
  const replayAll = button("Replay all that match", async () => {
    const choice = filter();
    const { meta } = await get(`${ROOT}${query({ ...choice, per_page: 1 })}`, { signal });
    if (await sureOfAll(meta.total)) await decide("replay", choice);
  });
  bulk.append(count, replay, discard, replayAll);
  await load();
  refresh();
  const lead = h("p", { class: "lead" }, "Messages that could not be understood, or kept failing for reasons of ours. A replay hands the message to its service again.");
  return h("div", {}, heading("Dead letters"), lead, filters(chosen, choose), bulk, list, below);
}

const keyOf = ({ service, id }) => `${service}/${id}`;

function these(letters) {
  const ids = {};
  for (const { service, id } of letters) (ids[service] ??= []).push(id);
  return { ids };
}

const sureOfAll = (count) => confirm(`Replay ${count === 1 ? "1 letter" : `${count} letters`}?`, "All open letters that match the filter, on every page, are handed to their services again.", { yes: "Replay" });

const sure = (count) => confirm(`Discard ${count === 1 ? "this letter" : `${count} letters`}?`, "What they asked for is not done. They stay on record.", { yes: "Discard", kind: "danger" });

function filters(chosen, choose) {
  const narrowed = (label, name, options) => {
    const control = select(options, chosen[name]);
    control.addEventListener("change", () => choose(name, control.value));
    return field(label, control).element;
  };
  const typed = (label, name, placeholder) => {
    const control = h("input", { type: "search", value: chosen[name], placeholder, autocomplete: "off" });
    control.addEventListener("input", later(() => choose(name, control.value.trim())));
    return field(label, control).element;
  };
  return h(
    "form",
    { class: "filters", role: "search", "aria-label": "Filter dead letters", onsubmit: (event) => event.preventDefault() },
    typed("Error", "error", "Words of the error"),
    typed("Project", "project", "Identifier"),
    narrowed("Service", "service", [["", "Any"], ...SERVICES.map((name) => [name, name])]),
    narrowed("State", "state", Object.entries(STATES)),
    narrowed("Parked", "since", Object.entries(AGES)),
  );
}

function nothing(chosen) {
  const narrowed = FILTERS.some((name) => chosen[name]);
  return narrowed ? empty("No dead letter matches", "Try fewer filters.") : empty("No dead letters", "Every message was understood and done.");
}

async function inspect({ service, id }, decide) {
  const letter = (await get(`${ROOT}/${service}/${id}`)).data;
  const body = letter.body_encoding === "json" ? JSON.stringify(letter.body, null, 2) : letter.body;
  const verb = await dialog(
    letter.type || letter.routing_key,
    (close) => [
      h("p", { class: "notice bad" }, h("span", {}, h("strong", {}, letter.reason), ` ${letter.error}`)),
      facts([
        ["Service", letter.service],
        ["Project", letter.project],
        ["Tries", String(letter.tries)],
        ["Parked", at(letter.parked_at)],
        ["Routing key", letter.routing_key],
        ["Message", letter.message_id],
        ["Trace", letter.traceparent],
        ["Decided", letter.decided_by && `${STATES[letter.state]} by ${letter.decided_by}, ${at(letter.decided_at)}`],
      ]),
      h("h3", {}, letter.body_encoding === "json" ? "Body" : "Body (base64)"),
      h("pre", { tabindex: "0", "aria-label": "Body" }, body),
      h("details", {}, h("summary", {}, "Headers"), h("pre", { tabindex: "0", "aria-label": "Headers" }, JSON.stringify(letter.headers, null, 2))),
      h(
        "div",
        { class: "dialog-end" },
        h("button", { type: "button", onclick: () => close(undefined) }, "Close"),
        letter.state === "open" && [
          h("button", { type: "button", class: "danger-quiet", onclick: () => close("discard") }, "Discard"),
          h("button", { type: "button", class: "primary", onclick: () => close("replay") }, "Replay"),
        ],
      ),
    ],
    { wide: true },
  );
  if (verb && (verb === "replay" || (await sure(1)))) await decide(verb, these([letter])).catch((error) => toast(error.message, "bad"));
}
