// The page's frame: who is signed in, which view the address names, and whether the server is there.

import { begin, connection, get, isAdmin, isLost, remove, session } from "./api.js";
import { announce, h, setText } from "./dom.js";
import { endPush, push } from "./live.js";
import { doing, failure, loading } from "./parts.js";
import { showSignIn, takeCode } from "./signin.js";

const main = document.getElementById("main");
const bar = document.getElementById("bar");

// Loaded when they are first looked at.
const VIEWS = [
  [/^\/projects$/, () => import("./projects.js"), "Projects"],
  [/^\/projects\/new$/, () => import("./create.js"), "New project"],
  [/^\/projects\/([\w-]+)$/, () => import("./project.js"), "Project"],
  [/^\/dead-letters$/, () => import("./letters.js"), "Dead letters"],
  [/^\/providers$/, () => import("./providers.js"), "Providers"],
];

let leaving = null;
let isFirst = true;

async function route() {
  const [path, words = ""] = (location.hash.slice(1) || "/projects").split("?");
  const found = VIEWS.map(([pattern, load, title]) => ({ match: pattern.exec(path), load, title })).find(({ match }) => match);
  if (!found) return void (location.hash = "#/projects");
  leaving?.abort();
  const own = (leaving = new AbortController());
  showNav(path);
  document.title = `${found.title} · UCA`;
  main.replaceChildren(loading());
  const context = { signal: own.signal, values: new URLSearchParams(words), rest: found.match.slice(1), title: setTitle };
  try {
    const { show } = await found.load();
    const element = await show(context);
    if (own.signal.aborted) return;
    main.replaceChildren(element);
  } catch (error) {
    if (own.signal.aborted || error.name === "AbortError") return;
    main.replaceChildren(failure(error, route));
    connection.addEventListener("back", route, { once: true, signal: own.signal });
  }
  window.scrollTo(0, 0);
  if (!isFirst) main.querySelector("h1")?.focus();
  isFirst = false;
}

function setTitle(words) {
  document.title = `${words} · UCA`;
}

function showNav(path) {
  const places = [["/projects", "Projects"]];
  if (isAdmin()) places.push(["/dead-letters", "Dead letters"], ["/providers", "Providers"]);
  const nav = document.getElementById("nav");
  nav.replaceChildren(
    ...places.map(([place, words]) => h("a", { href: `#${place}`, "aria-current": path.startsWith(place) ? "page" : null }, words)),
  );
}

function showPulse() {
  const words = isLost() ? "Offline" : { live: "Live", connecting: "Connecting…" }[push().state] ?? "";
  const pulse = document.getElementById("pulse");
  pulse.className = `pulse ${isLost() ? "lost" : push().state}`;
  setText(pulse, words);
}

function showLoss() {
  const banner = document.getElementById("lost");
  banner.hidden = !isLost();
  setText(banner, isLost() ? "The connection is lost. What you see may be old; it goes on by itself when the server is back." : "");
  if (!isLost()) push().hurry();
  showPulse();
}

function enter() {
  bar.hidden = false;
  document.getElementById("skip").hidden = false;
  setText(document.getElementById("who"), session.user.name);
  push().addEventListener("change", showPulse);
  showPulse();
  addEventListener("hashchange", route);
  route();
}

async function leave(words) {
  leaving?.abort();
  removeEventListener("hashchange", route);
  endPush();
  bar.hidden = true;
  document.title = "Sign in · UCA";
  await showSignIn(main, words);
  enter();
}

// The cookie is the server's to take away: until it has, a reload would be signed in again, so the page stays.
async function signOut() {
  await remove("/console/session").catch((error) => {
    if (error.status !== 401) throw error;
  });
  announce("Signed out.");
  leave("You are signed out.");
}

// A sign-in address that is opened where the console is open already changes nothing but the fragment.
addEventListener("hashchange", () => location.hash.startsWith("#code=") && location.reload());
connection.addEventListener("lost", showLoss);
connection.addEventListener("back", showLoss);
connection.addEventListener("signed-out", () => bar.hidden || leave("Your session has ended. Sign in again."));
document.getElementById("sign-out").addEventListener("click", ({ currentTarget }) => doing(currentTarget, signOut));
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  (main.querySelector("h1") ?? main).focus();
});

async function start() {
  main.replaceChildren(loading());
  const refused = await takeCode();
  try {
    begin((await get("/console/session")).data);
  } catch (error) {
    main.replaceChildren(failure(error, start));
    connection.addEventListener("back", start, { once: true });
    return;
  }
  if (session.user && !refused) enter();
  else leave(refused);
}

start();
