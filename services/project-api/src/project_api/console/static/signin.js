// Signing in: by the one-time code in the address, or by a code or token that is pasted.

import { begin, post } from "./api.js";
import { h } from "./dom.js";
import { doing, field } from "./parts.js";

// Exchanges the code of the address, which leaves the address at once. Answers why it was refused, if it was.
export async function takeCode() {
  const inHash = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
  const inQuery = new URLSearchParams(location.search).get("code");
  const code = inHash ?? inQuery;
  if (!code) return "";
  history.replaceState(null, "", `${location.pathname}#/projects`);
  try {
    await post("/console/session", { code });
    return "";
  } catch (error) {
    return error.message;
  }
}

const isToken = (words) => words.split(".").length === 3;

// Shows the form and resolves once somebody is signed in.
export function showSignIn(main, words = "") {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true });
    const asked = field("Code or token", input, { hint: "Local mode prints a link with a code: make demo, or make console. A token works as well." });
    const submit = h("button", { class: "primary", type: "submit" }, "Sign in");
    const form = h(
      "form",
      { class: "card sign-in", novalidate: true, "aria-labelledby": "sign-in-title" },
      h("img", { src: "/console/icon.svg", alt: "", width: "48", height: "48" }),
      h("h1", { id: "sign-in-title", tabindex: "-1" }, "UCA console"),
      h("p", { class: "lead" }, "Projects on every cloud, as they come to life."),
      words && h("p", { class: "notice wait", role: "alert" }, words),
      asked.element,
      submit,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = input.value.trim();
      if (!given) return void (asked.complain("Paste a code or a token first."), input.focus());
      doing(submit, async () => {
        try {
          begin((await post("/console/session", isToken(given) ? { token: given } : { code: given })).data);
          resolve();
        } catch (error) {
          asked.complain(error.message);
          input.focus();
        }
      });
    });
    main.replaceChildren(form);
    input.focus();
  });
}
