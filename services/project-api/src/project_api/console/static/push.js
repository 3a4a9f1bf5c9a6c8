// A small client of the Pusher protocol, version 7: one socket, private channels, back by itself after a loss.

const SLOWEST_MS = 30_000;
const ANSWER_MS = 10_000;
const KEEP_MS = 30_000;
const ASK_AGAIN_MS = 5_000;

export class Push extends EventTarget {
  #key;
  #listeners = new Map();
  #socket = null;
  #socketId = null;
  #tries = 0;
  #timers = {};
  state = "off";

  constructor(key) {
    super();
    this.#key = key;
  }

  get isLive() {
    return this.state === "live";
  }

  // Calls `listener(event, data)` for a project's news until the function that it answers is called.
  watch(identifier, listener) {
    const channel = `private-projects.${identifier}`;
    const known = this.#listeners.get(channel);
    if (known) known.add(listener);
    else this.#listeners.set(channel, new Set([listener]));
    clearTimeout(this.#timers.keep);
    if (!this.#socket) this.#connect();
    else if (!known && this.#socketId) this.#subscribe(channel);
    return () => this.#unwatch(channel, listener);
  }

  close() {
    this.#listeners.clear();
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#drop();
    this.#become("off");
  }

  // Tries again now rather than when the next wait is over.
  hurry() {
    if (this.#listeners.size && !this.#socket) this.#connect();
  }

  #unwatch(channel, listener) {
    const listeners = this.#listeners.get(channel);
    if (!listeners?.delete(listener) || listeners.size) return;
    this.#listeners.delete(channel);
    this.#send("pusher:unsubscribe", { channel });
    if (!this.#listeners.size) this.#timers.keep = setTimeout(() => this.close(), KEEP_MS);
  }

  #connect() {
    clearTimeout(this.#timers.again);
    this.#become("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/app/${this.#key}?protocol=7&client=console&version=1.0`);
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => socket === this.#socket && this.#hear(JSON.parse(data)));
    socket.addEventListener("close", ({ code }) => socket === this.#socket && this.#closed(code));
  }

  #closed(code) {
    this.#drop();
    const givesUp = code >= 4000 && code < 4100;
    this.#become(givesUp ? "off" : "connecting");
    if (givesUp || !this.#listeners.size) return;
    const backoff = Math.min(SLOWEST_MS, 500 * 2 ** this.#tries++) * (0.75 + Math.random() / 2);
    const wait = code >= 4200 && code < 4300 ? 0 : code >= 4100 && code < 4200 ? 1000 : backoff;
    this.#timers.again = setTimeout(() => this.#connect(), wait);
  }

  #drop() {
    clearTimeout(this.#timers.activity);
    clearTimeout(this.#timers.answer);
    const socket = this.#socket;
    this.#socket = this.#socketId = null;
    socket?.close();
  }

  #hear({ event, channel, data }) {
    this.#attend();
    const content = typeof data === "string" ? JSON.parse(data) : (data ?? {});
    if (event === "pusher:connection_established") this.#established(content);
    else if (event === "pusher:ping") this.#send("pusher:pong", {});
    else if (!event.startsWith("pusher")) {
      for (const listener of this.#listeners.get(channel) ?? []) listener(event, content);
    }
  }

  #established({ socket_id, activity_timeout }) {
    this.#tries = 0;
    this.#socketId = socket_id;
    this.#timers.every = (activity_timeout ?? 30) * 1000;
    this.#attend();
    this.#become("live");
    for (const channel of this.#listeners.keys()) this.#subscribe(channel);
  }

  // Asked again where the answer is neither yes nor no: nothing else would, while the socket lives.
  async #subscribe(channel) {
    const socketId = this.#socketId;
    const listeners = this.#listeners.get(channel);
    const isWanted = () => socketId === this.#socketId && listeners === this.#listeners.get(channel);
    const body = new URLSearchParams({ socket_id: socketId, channel_name: channel });
    const answer = await fetch("/broadcasting/auth", { method: "POST", body }).catch(() => null);
    const auth = answer?.ok && (await answer.json().catch(() => ({}))).auth;
    if (!isWanted()) return;
    if (auth) this.#send("pusher:subscribe", { channel, auth });
    else if (answer?.status !== 403) setTimeout(() => isWanted() && this.#subscribe(channel), ASK_AGAIN_MS);
  }

  // Silence for the agreed time is answered with a ping, and silence after that with a new socket.
  #attend() {
    clearTimeout(this.#timers.activity);
    clearTimeout(this.#timers.answer);
    this.#timers.activity = setTimeout(() => {
      this.#send("pusher:ping", {});
      this.#timers.answer = setTimeout(() => this.#closed(1006), ANSWER_MS);
    }, this.#timers.every ?? 30_000);
  }

  #send(event, data) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ event, data }));
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
