// One project's status as it moves: push brings the news, polling the truth, and polling alone where push cannot.

import { ask, connection, project, Refusal, session, Unreachable } from "./api.js";
import { Push } from "./push.js";

const COALESCE_MS = 200;
const WITH_PUSH_MS = 15_000;
const IDLE_MS = 8_000;

let shared = null;

export function push() {
  shared ??= new Push(session.pushKey);
  return shared;
}

export function endPush() {
  shared?.close();
  shared = null;
}

// Runs `work` again and again until the signal: `pause()` says after how many ms; a hidden page rests.
export function repeat(work, pause, signal) {
  let timer = null;
  let again = false;
  let busy = false;

  async function turn() {
    clearTimeout(timer);
    if (busy) return void (again = true);
    busy = true;
    try {
      if (!document.hidden) await work();
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof Unreachable)) throw error;
    } finally {
      busy = false;
      if (!signal.aborted) timer = setTimeout(turn, again ? 0 : pause());
      again = false;
    }
  }

  signal.addEventListener("abort", () => clearTimeout(timer));
  document.addEventListener("visibilitychange", () => document.hidden || turn(), { signal });
  connection.addEventListener("back", turn, { signal });
  return turn;
}

// `seen.status(body)` for every change, `seen.news(event, data)` as push tells it, `seen.gone()` once it is deleted.
export function follow(identifier, seen, signal) {
  let etag = null;
  let latest = null;
  let soon = null;

  async function refresh() {
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      const answer = await ask("GET", project(identifier, "/status"), { headers, signal });
      if (answer.status === 304) return;
      etag = answer.headers.get("ETag");
      latest = answer.content;
      seen.status(latest);
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return seen.gone();
      throw error;
    }
  }

  const isGoing = () => latest === null || latest.status === "provisioning" || latest.status === "pending" || latest.actions.can_delete === false;
  const turn = repeat(refresh, () => (push().isLive ? WITH_PUSH_MS : isGoing() ? 2000 : IDLE_MS), signal);
  const unwatch = push().watch(identifier, (event, data) => {
    seen.news?.(event, data);
    clearTimeout(soon);
    soon = setTimeout(turn, COALESCE_MS);
  });
  signal.addEventListener("abort", () => (unwatch(), clearTimeout(soon)));
  turn();
  return turn;
}
