// Elements from plain values. Nothing here ever parses HTML, so nothing that a server or a person says can become markup.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "value") element.value = value;
  else if (value === true) element.setAttribute(name, "");
  else element.setAttribute(name, value);
}

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  check: "M4 10.5 8 14.5 16 6",
  cross: "M5.5 5.5l9 9M14.5 5.5l-9 9",
  wait: "M10 5.5v5l3 2",
  pause: "M7.5 6v8M12.5 6v8",
  dot: "M10 10h.01",
  back: "M12 5l-5 5 5 5",
  plus: "M10 4.5v11M4.5 10h11",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// Brings `list` to one child for each item, in order. A child that stays is kept, with the focus that it may have.
export function reconcile(list, items, keyOf, make, update) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, position) => {
    const key = String(keyOf(item));
    let child = known.get(key);
    known.delete(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    if (list.children[position] !== child) list.insertBefore(child, list.children[position] ?? null);
    update(child, item);
  });
  for (const child of known.values()) child.remove();
}

export function setText(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

// A screen reader says this; it is emptied first, so that the same words are said again.
export function announce(words) {
  const region = document.getElementById("announcer");
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = words));
}

export function toast(words, kind = "fine") {
  const shown = h("p", { class: `toast ${kind}` }, words);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "bad" ? 9000 : 5000);
}
