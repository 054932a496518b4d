// Calls as somebody would write them, with a place for the key: no key is ever on these pages.

const host = () => location.origin;

const shell = (text) => `'${text.replace(/'/g, `'\\''`)}'`;

/** The path that reaches the provider of a record through this server. */
export function doorOf(row) {
  const path = row.request_path ?? "";
  return path.startsWith("/") ? path : "/v1/chat/completions";
}

/** A recorded call as a line for the shell. */
export function asCurl(row, body) {
  return `curl ${shell(host() + doorOf(row))} \\\n  -H "Authorization: Bearer $API_KEY" \\\n  -H 'Content-Type: application/json' \\\n  -d ${shell(JSON.stringify(body, null, 2) ?? "")}`;
}

/** A recorded call for Python's standard OpenAI client where it fits, else for httpx. */
export function asPython(row, body) {
  const literal = python(body);
  return `import os

import httpx

response = httpx.post(
    ${JSON.stringify(host() + doorOf(row))},
    headers={"Authorization": f"Bearer {os.environ['API_KEY']}"},
    json=${literal.replace(/\n/g, "\n    ")},
    timeout=600,
)
print(response.json())
`;
}

/** JSON as Python writes it. */
export function python(value, indent = 0) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const pad = " ".repeat(indent + 4);
  const end = " ".repeat(indent);
  if (Array.isArray(value)) return value.length ? `[\n${value.map((one) => pad + python(one, indent + 4)).join(",\n")},\n${end}]` : "[]";
  const entries = Object.entries(value);
  return entries.length ? `{\n${entries.map(([key, one]) => `${pad}${JSON.stringify(key)}: ${python(one, indent + 4)}`).join(",\n")},\n${end}}` : "{}";
}

/** What to do first, in the languages people use. `door` is this server's address. */
export function firstCalls(door = host(), key = "") {
  const helicone = key ? `"Helicone-Auth": "Bearer ${key}"` : "";
  return [
    { id: "openai-python", name: "OpenAI · Python", text: `from openai import OpenAI

client = OpenAI(
    base_url="${door}/v1/gateway/oai/v1",${helicone ? `\n    default_headers={${helicone}},` : ""}
)
reply = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Say hello"}],
)
print(reply.choices[0].message.content)` },
    { id: "openai-ts", name: "OpenAI · TypeScript", text: `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "${door}/v1/gateway/oai/v1",${helicone ? `\n  defaultHeaders: { ${helicone} },` : ""}
});
const reply = await client.chat.completions.create({
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: "Say hello" }],
});
console.log(reply.choices[0].message.content);` },
    { id: "anthropic-python", name: "Anthropic · Python", text: `from anthropic import Anthropic

client = Anthropic(
    base_url="${door}/v1/gateway/anthropic",${helicone ? `\n    default_headers={${helicone}},` : ""}
)
reply = client.messages.create(
    model="claude-sonnet-4-5",
    max_tokens=200,
    messages=[{"role": "user", "content": "Say hello"}],
)
print(reply.content[0].text)` },
    { id: "anthropic-ts", name: "Anthropic · TypeScript", text: `import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: "${door}/v1/gateway/anthropic",${helicone ? `\n  defaultHeaders: { ${helicone} },` : ""}
});
const reply = await client.messages.create({
  model: "claude-sonnet-4-5",
  max_tokens: 200,
  messages: [{ role: "user", content: "Say hello" }],
});
console.log(reply.content);` },
    { id: "curl", name: "curl", text: `curl ${door}/v1/gateway/oai/v1/chat/completions \\
  -H "Authorization: Bearer $OPENAI_API_KEY" \\${key ? `\n  -H "Helicone-Auth: Bearer ${key}" \\` : ""}
  -H "Content-Type: application/json" \\
  -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}]}'` },
    { id: "langchain", name: "LangChain", text: `from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="gpt-4o-mini",
    base_url="${door}/v1/gateway/oai/v1",${helicone ? `\n    default_headers={${helicone}},` : ""}
)
print(model.invoke("Say hello").content)` },
    { id: "claude-code", name: "Claude Code", text: `export ANTHROPIC_BASE_URL=${door}/v1/gateway/anthropic${key ? `\nexport ANTHROPIC_CUSTOM_HEADERS="Helicone-Auth: Bearer ${key}"` : ""}
claude` },
    { id: "environment", name: "Environment", text: `export OPENAI_BASE_URL=${door}/v1/gateway/oai/v1
export ANTHROPIC_BASE_URL=${door}/v1/gateway/anthropic` },
  ];
}
