// A watcher in Node, which shows its token as Bearer.

import Echo from "laravel-echo";
import Pusher from "pusher-js";
import { config, obey, say } from "./commands.mjs";
import { watch } from "./listening.mjs";

const { origin, port, token, ...rest } = config;
const headers = { Authorization: `Bearer ${token}` };
const authEndpoint = `${origin}/api/v1/broadcasting/auth`;
const watcher = watch({ ...rest, port, authEndpoint, headers }, Echo, Pusher, say);

obey((verb, project) => watcher[verb](project), () => watcher.pusher.disconnect());
