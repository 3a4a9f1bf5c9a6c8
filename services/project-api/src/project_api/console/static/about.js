// What a project was created with, and the dialog that changes its name and description.

import { ask, mayChange, patch, project } from "./api.js";
import { h, toast } from "./dom.js";
import { button, card, dialog, doing, facts, field } from "./parts.js";
import { at } from "./words.js";

// `changed` is told the project as it is after each change.
export function aboutCard(first, changed) {
  const told = h("div", {});

  function draw(detail) {
    told.replaceChildren(
      facts([
        ["Description", detail.description],
        ["Provider", detail.provider],
        ["Availability zone", detail.availability_zone],
        ["Type", detail.type],
        ["Tenant", detail.tenant?.name],
        ["Created", at(detail.created_at)],
      ]),
    );
  }

  async function edit() {
    // Read anew: what is edited is what is there now, and its ETag notices who changes it meanwhile.
    const { content, headers } = await ask("GET", project(first.identifier));
    const detail = await editing(content.data, headers.get("ETag"));
    if (!detail) return;
    draw(detail);
    changed(detail);
    toast("Saved.");
  }

  draw(first);
  return card("About", told, mayChange(first) && h("div", { class: "card-end" }, button("Edit…", edit, { kind: "small", "aria-label": "Edit name and description" })));
}

function editing({ identifier, name, description }, etag) {
  return dialog("Edit project", (close) => {
    const title = field("Name", h("input", { value: name, required: true, maxlength: "255", autocomplete: "off" }));
    const about = field("Description", h("textarea", { rows: "4", maxlength: "10000", value: description }), { hint: "May be left out." });
    const save = h("button", { type: "submit", class: "primary" }, "Save");

    async function send() {
      title.complain();
      about.complain();
      try {
        const body = { name: title.control.value, description: about.control.value };
        close((await patch(project(identifier), body, { headers: { "If-Match": etag } })).data);
      } catch (error) {
        about.complain(error.fields?.description?.[0]);
        title.complain(error.fields?.name?.[0] ?? (error.fields?.description ? "" : error.message));
      }
    }

    return h(
      "form",
      { class: "form", novalidate: true, onsubmit: (event) => (event.preventDefault(), doing(save, send)) },
      title.element,
      about.element,
      h("div", { class: "dialog-end" }, h("button", { type: "button", onclick: () => close(undefined) }, "Keep as it is"), save),
    );
  });
}
