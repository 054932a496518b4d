// How a program calls a version: as short as it can be, with a place for the key.
import { python } from "../../lib/snippets.js";
import { variablesIn } from "../playground/body.js";

const EXAMPLE = { number: 42, boolean: true, string: "…", any: "…" };

export const numberOf = (version) => `${version.major_version}.${version.minor_version}`;

/** [{id, name, text}]. A version of production is called by the prompt alone, one of another
 *  environment by its name too, any other by its own id. */
export function callsOf({ body, version }) {
  const inputs = Object.fromEntries(Object.entries(variablesIn(body)).map(([name, kind]) => [name, EXAMPLE[kind] ?? "…"]));
  const extra = { prompt_id: version.prompt_id };
  if (!version.environments.includes("production")) Object.assign(extra, version.environments.length ? { environment: version.environments[0] } : { version_id: version.id });
  if (Object.keys(inputs).length) extra.inputs = inputs;
  const own = body.messages?.length ? [] : [{ role: "user", content: "…" }];
  const model = body.model ? {} : { model: "gpt-4o-mini" };
  const door = `${location.origin}/v1`;
  return [
    { id: "curl", name: "curl", text: `curl ${door}/chat/completions \\\n  -H "Authorization: Bearer $HELICONE_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify({ ...model, ...extra, ...(own.length ? { messages: own } : {}) }, null, 2).replace(/'/g, "'\\''")}'` },
    { id: "python", name: "Python", text: `import os

from openai import OpenAI

client = OpenAI(base_url="${door}", api_key=os.environ["HELICONE_API_KEY"])
reply = client.chat.completions.create(
    model="${body.model || "gpt-4o-mini"}",
    messages=${python(own, 4)},
    extra_body=${python(extra, 4)},
)
print(reply.choices[0].message.content)` },
    { id: "typescript", name: "TypeScript", text: `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${door}", apiKey: process.env.HELICONE_API_KEY });
const reply = await client.chat.completions.create({
  model: "${body.model || "gpt-4o-mini"}",
  messages: ${JSON.stringify(own)},
  ${Object.entries(extra).map(([name, value]) => `${name}: ${JSON.stringify(value)},`).join("\n  ")}
} as any);
console.log(reply.choices[0].message.content);` },
  ];
}
