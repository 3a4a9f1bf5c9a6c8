// Requests to the API: the session's cookie speaks, errors come as sentences, and a lost connection is noticed once.

const LOOK_AGAIN_MS = 1500;

export class Refusal extends Error {
  constructor(status, words, fields = {}) {
    super(words);
    this.status = status;
    this.fields = fields;
  }
}

export class Unreachable extends Error {}

export const session = { user: null, pushKey: "", base: "", writes: false };

// Told of "lost", "back" and "signed-out".
export const connection = new EventTarget();
let lost = false;

export function begin({ user, push_key }) {
  session.user = user;
  session.pushKey = push_key;
  session.base = { admin: "/admin/v1", tenant_admin: "/tenant/v1/admin" }[user?.role] ?? "/api/v1/business";
  session.writes = user?.role === "admin" || user?.role === "tenant_admin";
}

export const isAdmin = () => session.user?.role === "admin";

// A project without a tenant is only read by a tenant's administrator whom it names.
export const mayChange = ({ tenant_id }) => session.writes && (tenant_id !== null || isAdmin());

function csrf() {
  return document.cookie.split("; ").find((pair) => pair.startsWith("XSRF-TOKEN="))?.slice("XSRF-TOKEN=".length) ?? "";
}

// The whole answer: status, headers, content. Throws Refusal, Unreachable, or an AbortError.
export async function ask(method, path, { body, headers = {}, signal } = {}) {
  const sent = { Accept: "application/json", ...headers };
  if (method !== "GET") sent["X-XSRF-TOKEN"] = csrf();
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers: sent, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    noticeLoss();
    throw new Unreachable("The server cannot be reached.");
  }
  if ([502, 503, 504].includes(answer.status) && method === "GET" && path.includes("/verify") === false) {
    noticeLoss();
    throw new Unreachable("The service is not ready.");
  }
  noticeReturn();
  const content = answer.status === 204 || answer.status === 304 ? null : await answer.json().catch(() => unread(signal));
  if (answer.status >= 400) refuse(answer.status, content, path);
  return { status: answer.status, headers: answer.headers, content };
}

// What is no JSON is no content; a view that was left while its answer was still coming gets none at all.
function unread(signal) {
  signal?.throwIfAborted();
  return null;
}

function refuse(status, content, path) {
  if (status === 401 && !path.startsWith("/console/")) connection.dispatchEvent(new Event("signed-out"));
  throw new Refusal(status, content?.message ?? `The server answered ${status}.`, content?.errors ?? {});
}

export const get = async (path, options) => (await ask("GET", path, options)).content;
export const post = async (path, body, options) => (await ask("POST", path, { ...options, body })).content;
export const patch = async (path, body, options) => (await ask("PATCH", path, { ...options, body })).content;
export const put = async (path, body, options) => (await ask("PUT", path, { ...options, body })).content;
export const remove = async (path, options) => (await ask("DELETE", path, options)).content;

export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const words = new URLSearchParams(given).toString();
  return words ? `?${words}` : "";
}

export const project = (identifier, rest = "") => `${session.base}/projects/${encodeURIComponent(identifier)}${rest}`;

export const isLost = () => lost;

function noticeLoss() {
  if (lost) return;
  lost = true;
  connection.dispatchEvent(new Event("lost"));
  lookAgain();
}

function noticeReturn() {
  if (!lost) return;
  lost = false;
  connection.dispatchEvent(new Event("back"));
}

function lookAgain() {
  setTimeout(async () => {
    const ready = await fetch("/readyz", { cache: "no-store" }).then((answer) => answer.ok, () => false);
    if (ready) noticeReturn();
    else lookAgain();
  }, LOOK_AGAIN_MS);
}

// A key for one intention: sent again with the same key, a request does its work once.
export function newKey() {
  return `"${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}"`;
}
