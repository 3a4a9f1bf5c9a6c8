// Listens to projects as the owner's frontend does, in Node and in a page alike; `say` is told what is heard.

export function watch({ library, key, port, authEndpoint, headers }, Echo, Pusher, say) {
  const options = {
    wsHost: "127.0.0.1",
    wsPort: port,
    forceTLS: false,
    enabledTransports: ["ws"],
    disableStats: true,
    authEndpoint,
    auth: { headers },
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
  const { connection } = watcher.pusher;
  connection.bind("state_change", ({ current }) =>
    say({ at: "state", state: current, socket: connection.socket_id ?? null }),
  );
  connection.bind("error", ({ data }) => say({ at: "error", code: data?.code ?? null }));
  return watcher;
}
