// The pieces that every view is made of.

import { h, icon, setText, toast } from "./dom.js";
import { Refusal, Unreachable } from "./api.js";

export function badge(meaning) {
  return h("span", { class: `badge ${meaning.tone}` }, icon(meaning.icon), h("span", {}, meaning.words));
}

export function showBadge(element, meaning) {
  if (element.dataset.words === meaning.words) return;
  element.dataset.words = meaning.words;
  element.className = `badge ${meaning.tone}`;
  element.replaceChildren(icon(meaning.icon), h("span", {}, meaning.words));
}

export function meter(label) {
  const bar = h("progress", { max: "100", value: "0", "aria-label": label });
  const words = h("span", { class: "meter-words" });
  const percent = h("span", { class: "meter-percent", "aria-hidden": "true" });
  return {
    element: h("div", { class: "meter" }, h("div", { class: "meter-line" }, words, percent), bar),
    show(progress, tone = "going") {
      bar.value = progress.percent;
      bar.className = tone;
      setText(words, progress.message);
      setText(percent, `${progress.percent} %`);
    },
  };
}

export function heading(title, ...rest) {
  return h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, title), ...rest);
}

let numbers = 0;

// A labelled control; its hint and its error are read out with it.
export function field(label, control, { hint = "", wide = false } = {}) {
  control.id ||= `field-${++numbers}`;
  const error = h("p", { class: "field-error", id: `${control.id}-error` });
  const about = hint ? h("p", { class: "field-hint", id: `${control.id}-hint` }, hint) : null;
  control.setAttribute("aria-describedby", `${about ? `${about.id} ` : ""}${error.id}`);
  return {
    control,
    element: h("div", { class: wide ? "field wide" : "field" }, h("label", { for: control.id }, label), about, control, error),
    complain(words = "") {
      setText(error, words);
      if (words) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
  };
}

export function select(options, chosen = "") {
  const element = h("select", {}, options.map(([value, words]) => h("option", { value }, words)));
  element.value = chosen;
  if (element.selectedIndex < 0) element.selectedIndex = 0;
  return element;
}

// Does the work a moment after the last call. Answers may come in another order than they were asked for: `isLatest()`,
// which the work is given, says whether it is still the last.
export function later(work, ms = 250) {
  let timer;
  let latest = 0;
  return () => {
    clearTimeout(timer);
    const mine = ++latest;
    timer = setTimeout(() => work(() => mine === latest), ms);
  };
}

export function loading(words = "Loading…") {
  const lines = [1, 2, 3].map(() => h("div", { class: "skeleton" }));
  return h("div", { class: "loading", role: "status", "aria-label": words }, lines);
}

export function empty(title, words, ...more) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, words), ...more);
}

export function failure(error, again) {
  const words = error instanceof Refusal || error instanceof Unreachable ? error.message : "Something went wrong on this page.";
  return h(
    "div",
    { class: "empty", role: "alert" },
    h("h2", {}, "This could not be shown"),
    h("p", {}, words),
    again && h("button", { type: "button", onclick: again }, "Try again"),
  );
}

// Does the work of a button once, and says how it went.
export async function doing(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return undefined;
  button.setAttribute("aria-disabled", "true");
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message || "That did not work.", "bad");
    return undefined;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

export function button(words, work, { kind = "", before = null, ...more } = {}) {
  const element = h("button", { type: "button", class: kind, ...more }, before && icon(before), words);
  element.addEventListener("click", () => doing(element, () => work(element)));
  return element;
}

// A modal dialog; `fill(close)` answers its content. Resolves with what it was closed with.
export function dialog(title, fill, { wide = false } = {}) {
  return new Promise((resolve) => {
    const close = (value) => {
      element.close();
      element.remove();
      resolve(value);
    };
    const name = h("h2", { id: `dialog-${++numbers}` }, title);
    const element = h("dialog", { "aria-labelledby": name.id, class: wide ? "wide" : "" }, name, fill(close));
    element.addEventListener("cancel", (event) => (event.preventDefault(), close(undefined)));
    document.body.append(element);
    element.showModal();
  });
}

export function confirm(title, words, { yes, kind = "" }) {
  return dialog(title, (close) => [
    h("p", {}, words),
    h(
      "div",
      { class: "dialog-end" },
      h("button", { type: "button", onclick: () => close(false) }, "Keep as it is"),
      h("button", { type: "button", class: kind, onclick: () => close(true) }, yes),
    ),
  ]);
}

export function pager(meta, go) {
  if (meta.last_page <= 1) return h("p", { class: "count" }, `${meta.total} in all`);
  const turn = (words, page, open) =>
    h("button", { type: "button", disabled: !open, onclick: () => go(page), "aria-label": `${words} page` }, words);
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    turn("Previous", meta.current_page - 1, meta.current_page > 1),
    h("span", { class: "count" }, `${meta.from ?? 0}–${meta.to ?? 0} of ${meta.total}`),
    turn("Next", meta.current_page + 1, meta.current_page < meta.last_page),
  );
}

export function card(title, ...children) {
  const name = h("h2", { id: `card-${++numbers}` }, title);
  return h("section", { class: "card", "aria-labelledby": name.id }, name, ...children);
}

export function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, given.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}
