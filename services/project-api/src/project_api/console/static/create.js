// A new project, with a preview beside it that follows what is typed: who will be in and why, and what will be done.

import { get, newKey, post, Refusal, session } from "./api.js";
import { announce, h, setText } from "./dom.js";
import { card, doing, field, heading, later, select } from "./parts.js";
import { picker } from "./picker.js";
import { tenantChoice } from "./tenants.js";
import { CHANGES, lasting, people, REASONS, ROLES } from "./words.js";

export async function show({ signal }) {
  const [regions, tenant] = await Promise.all([
    get(`${session.base}/regions`, { signal }),
    tenantChoice({ none: "No tenant", hint: "All of its users will be in.", signal }),
  ]);
  const open = regions.data.filter((region) => region.is_active);
  const name = field("Name", h("input", { type: "text", required: true, maxlength: "255", autocomplete: "off" }));
  const region = field("Region", select(open.map((each) => [each.code, each.name])));
  const description = field("Description", h("textarea", { rows: "3", maxlength: "10000" }), { hint: "May be left out.", wide: true });
  const preview = previewing(signal, body);
  const members = picker({ changed: preview.soon, tenant: () => null, signal });
  const fields = { name, region, provider: region, tenant_id: tenant, description, member_user_ids: members.field, user_ids: members.field };
  const key = { of: "", value: "" };

  function body() {
    const tenantId = tenant.control.value;
    return {
      name: name.control.value.trim(),
      region: region.control.value,
      provider: open.find((each) => each.code === region.control.value)?.provider,
      type: "vpc",
      ...(tenantId ? { tenant_id: Number(tenantId), assignment_scope: "tenant" } : {}),
      ...(description.control.value.trim() ? { description: description.control.value.trim() } : {}),
      member_user_ids: members.users().map((user) => user.id),
    };
  }

  const submit = h("button", { type: "submit", class: "primary" }, "Create project");
  const form = h(
    "form",
    { class: "card form", novalidate: true, "aria-label": "New project" },
    name.element,
    region.element,
    tenant.elements,
    members.element,
    description.element,
    h("div", { class: "form-end" }, h("a", { class: "button", href: "#/projects" }, "Cancel"), submit),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    doing(submit, () => create(body(), fields, key));
  });
  for (const each of [name, region, tenant]) each.control.addEventListener("input", () => (each.complain(), preview.soon()));
  preview.soon();
  return h("div", {}, heading("New project"), h("div", { class: "side-by-side" }, form, preview.element));
}

async function create(wanted, fields, key) {
  for (const each of Object.values(fields)) each.complain();
  // The same wish sent again, after an answer that was lost, must not become a second project.
  const words = JSON.stringify(wanted);
  if (key.of !== words) Object.assign(key, { of: words, value: newKey() });
  try {
    const made = await post(`${session.base}/projects`, wanted, { headers: { "Idempotency-Key": key.value } });
    announce(made.message);
    location.hash = `#/projects/${made.identifier}`;
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 422) throw error;
    // The server keeps this answer under the key: it would come again though its cause is mended.
    key.of = "";
    const wrong = Object.entries(error.fields).filter(([field]) => fields[field]);
    if (!wrong.length) throw error;
    for (const [field, sentences] of wrong) fields[field].complain(sentences[0]);
    fields[wrong[0][0]].control.focus();
  }
}

function previewing(signal, body) {
  const summary = h("p", { class: "lead", role: "status" }, "");
  const who = h("ul", { class: "preview-people" });
  const what = h("ul", { class: "preview-changes" });
  const details = h("details", {}, h("summary", {}, "What will be done on the cloud"), what);
  const element = h("aside", { class: "preview" }, card("Preview", summary, who, details));

  async function look(isLatest) {
    const wanted = { ...body() };
    wanted.name ||= "New project";
    try {
      const { data } = await post(`${session.base}/projects/provision-simulated`, wanted, { signal });
      if (isLatest()) showPreview(data);
    } catch (error) {
      if (error.name !== "AbortError" && isLatest()) setText(summary, error.message);
    }
  }

  function showPreview({ participants, changes, calls, estimate }) {
    const takes = estimate.p50_seconds ? `about ${lasting(estimate.p50_seconds)}` : `up to ${lasting(estimate.seconds)}`;
    setText(summary, `${people(participants.length)} will have access. ${calls} calls on the cloud, ${takes}.`);
    who.replaceChildren(...participants.slice(0, 50).map(showPerson));
    if (participants.length > 50) who.append(h("li", { class: "field-hint" }, `and ${participants.length - 50} more`));
    what.replaceChildren(...counted(changes).map(([action, count]) => h("li", {}, `${CHANGES[action] ?? action}: ${count === 1 ? "once" : `${count} times`}`)));
  }

  return { element, soon: later(look, 300) };
}

function showPerson({ name, email, role, reasons }) {
  const tags = reasons.map((reason) => h("span", { class: "reason" }, REASONS[reason] ?? reason));
  return h("li", {}, h("div", {}, h("strong", {}, name), h("span", { class: "find-about" }, email)), h("div", { class: "reasons" }, h("span", { class: "reason role" }, ROLES[role] ?? role), tags));
}

function counted(changes) {
  const counts = new Map();
  for (const action of changes.flatMap((change) => change.actions)) counts.set(action, (counts.get(action) ?? 0) + 1);
  return [...counts];
}
