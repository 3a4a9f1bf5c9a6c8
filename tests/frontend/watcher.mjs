// Listens as the owner's frontend does, with the libraries from npm, and prints what it hears: one JSON object a line.
// It is told over standard input what to do: {"listen": "F81401"}, {"leave": "F81401"} or {"whisper": "F81401"}.
import readline from "node:readline";
import Echo from "laravel-echo";
import Pusher from "pusher-js";

const { library, key, port, authEndpoint, token } = JSON.parse(process.argv[2]);

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const options = {
  wsHost: "127.0.0.1",
  wsPort: port,
  forceTLS: false,
  enabledTransports: ["ws"],
  disableStats: true,
  authEndpoint,
  auth: { headers: { Authorization: `Bearer ${token}` } },
};

function withEcho() {
  const echo = new Echo({ broadcaster: "reverb", key, Pusher, ...options });
  return {
    pusher: echo.connector.pusher,
    listen(project) {
      const channel = echo.private(`projects.${project}`);
      channel.subscribed(() => say({ at: "subscribed", project }));
      channel.error((error) => say({ at: "refused", project, status: error.status }));
      for (const name of ["Updated", "Completed", "Failed"]) {
        channel.listen(`.ProjectProvisioning${name}`, (data) => say({ at: "event", name, data }));
      }
    },
    leave: (project) => echo.leave(`projects.${project}`),
    whisper: (project) => echo.private(`projects.${project}`).whisper("typing", {}),
  };
}

function withPusher() {
  const pusher = new Pusher(key, { cluster: "", ...options });
  return {
    pusher,
    listen(project) {
      const channel = pusher.subscribe(`private-projects.${project}`);
      channel.bind("pusher:subscription_succeeded", () => say({ at: "subscribed", project }));
      channel.bind("pusher:subscription_error", (error) => say({ at: "refused", project, status: error.status }));
      channel.bind_global((event, data) => {
        if (event.startsWith("ProjectProvisioning")) {
          say({ at: "event", name: event.slice("ProjectProvisioning".length), data });
        }
      });
    },
    leave: (project) => pusher.unsubscribe(`private-projects.${project}`),
    whisper: (project) => pusher.channel(`private-projects.${project}`).trigger("client-typing", {}),
  };
}

const watcher = library === "echo" ? withEcho() : withPusher();
watcher.pusher.connection.bind("state_change", ({ current }) =>
  say({ at: "state", state: current, socket: watcher.pusher.connection.socket_id ?? null }),
);
watcher.pusher.connection.bind("error", ({ data }) => say({ at: "error", code: data?.code ?? null }));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  for (const [verb, project] of Object.entries(JSON.parse(line))) watcher[verb](project);
}).on("close", () => process.exit(0));
