// How the tests speak with a watcher: one JSON object a line, {"listen": "F81401"} in, what was heard out.

import readline from "node:readline";

export const config = JSON.parse(process.argv[2]);

export function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

export function obey(command, end) {
  readline
    .createInterface({ input: process.stdin })
    .on("line", async (line) => {
      for (const [verb, project] of Object.entries(JSON.parse(line))) await command(verb, project);
    })
    .on("close", async () => {
      await end();
      process.exit(0);
    });
}
