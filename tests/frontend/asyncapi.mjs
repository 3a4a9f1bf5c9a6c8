// Parses an AsyncAPI document with its own project's parser: `node asyncapi.mjs <file>` prints what is wrong, as JSON.

import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
const wrong = diagnostics.filter(({ severity }) => severity <= 1);
console.log(JSON.stringify({ wrong, channels: document?.channels().all().length ?? 0, messages: document?.allMessages().all().length ?? 0 }));
