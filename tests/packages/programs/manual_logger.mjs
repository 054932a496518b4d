// @helicone/helpers: every way of its manual logger. Arguments: the endpoint and a key.
import { HeliconeManualLogger } from "@helicone/helpers";

const [endpoint, key] = process.argv.slice(2);
const logger = new HeliconeManualLogger({
  apiKey: key,
  headers: { "Helicone-User-Id": "ada" },
  loggingEndpoint: endpoint,
});
const chat = { model: "gpt-4o", messages: [{ role: "user", content: "ping" }] };
const usage = { prompt_tokens: 4, completion_tokens: 2 };
const reply = { model: "gpt-4o", choices: [{ message: { role: "assistant", content: "pong" } }], usage };
const chunks = [
  { model: "gpt-4o", choices: [{ delta: { content: "po" } }] },
  { choices: [{ delta: { content: "ng" } }], usage },
];
const headers = (name) => ({ "Helicone-Property-Case": name, "Helicone-Session-Id": "s-1" });
const answered = (value) => async (recorder) => { recorder.appendResults(value); return value; };

for (const provider of [undefined, "OPENAI", "ANTHROPIC", "GOOGLE"]) {
  await logger.logRequest(chat, answered(reply), headers(`dict-${provider}`), provider);
}
await logger.logRequest({ _type: "tool", toolName: "look", input: 1 }, answered({ result: 5 }), headers("tool"));
await logger.logRequest({ _type: "vector_db", operation: "search" }, answered({ ok: 1 }), headers("vector"));
await logger.logRequest({ _type: "data", name: "rows" }, answered({ ok: 1 }), headers("data"));
await logger.logSingleRequest(chat, "plain words", { additionalHeaders: headers("text"), latencyMs: 900 });
const bytes = new TextEncoder();
const sse = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("") + "data: [DONE]\n\n";
const stream = (text) => new ReadableStream({
  start(controller) { controller.enqueue(bytes.encode(text)); controller.close(); },
});
await logger.logSingleStream({ ...chat, stream: true }, stream(sse), headers("sse"));
await logger.logStream({ ...chat, stream: true }, async (recorder) => {
  recorder.attachStream(stream(sse));
}, headers("sse-operation"));
async function* told() { yield* chunks; }
const builder = logger.logBuilder({ ...chat, stream: true }, headers("chunks"));
const made = Object.assign(told(), { controller: new AbortController() });
const reader = builder.toReadableStream(made).getReader();
while (!(await reader.read()).done);
await builder.sendLog();
const failed = logger.logBuilder(chat, headers("error"));
failed.setError(new Error("it broke"));
await failed.sendLog();
await logger.sendLog(chat, "", {
  startTime: 1788000000120, endTime: 1788000001020, additionalHeaders: headers("cancelled"), status: -3,
});
console.log(JSON.stringify("done"));
