// A chat body as it is edited, and back; its variables. Pure.
import { conversation } from "../../lib/chat.js";

let last = 0;
const freshKey = () => (last += 1);

const OWN = ["model", "messages", "tools"];
const LEFT_OUT = ["stream", "stream_options"];
const indented = (value) => JSON.stringify(value, null, 2);

/** {model, messages: [{key, role, text, json}], tools, parameters} of a body. `json` is the whole
 *  message as text where it is more than a role and a text; tools and parameters are JSON texts. */
export function draftOf(body) {
  const others = Object.entries(body).filter(([name]) => !OWN.includes(name) && !LEFT_OUT.includes(name));
  return {
    model: typeof body.model === "string" ? body.model : "",
    messages: (Array.isArray(body.messages) ? body.messages : []).map(messageDraft),
    tools: Array.isArray(body.tools) && body.tools.length ? indented(body.tools) : "",
    parameters: others.length ? indented(Object.fromEntries(others)) : "",
  };
}

function messageDraft(one) {
  const text = plainText(one);
  return { key: freshKey(), role: one?.role ?? "user", text: text ?? "", json: text === null ? indented(one) : null };
}

/** The text of a message that is nothing but a role and a text, else null. */
function plainText(one) {
  if (one === null || typeof one !== "object" || Object.keys(one).some((name) => name !== "role" && name !== "content")) return null;
  if (typeof one.content === "string") return one.content;
  const [part, ...more] = Array.isArray(one.content) ? one.content : [];
  const isText = part?.type === "text" && typeof part.text === "string" && !more.length && Object.keys(part).length === 2;
  return isText ? part.text : null;
}

export const freshMessage = (role = "user", text = "") => ({ key: freshKey(), role, text, json: null });

/** A message in its other form: as JSON, or as a text where it can be one. */
export function flipped(message) {
  if (message.json === null) return { ...message, json: indented({ role: message.role, content: message.text }) };
  const back = messageDraft(read(message.json, "The message"));
  return { ...back, key: message.key };
}

/** The body of a draft, without system messages that say nothing. Throws an Error that names what
 *  cannot be read. */
export function bodyOfDraft(draft) {
  const body = {};
  if (draft.model.trim()) body.model = draft.model.trim();
  const said = draft.messages.filter((one) => one.json !== null || one.text.trim() || one.role !== "system");
  body.messages = said.map((one, at) => (one.json === null ? { role: one.role, content: one.text } : read(one.json, `Message ${at + 1}`)));
  if (draft.tools.trim()) {
    body.tools = read(draft.tools, "Tools");
    if (!Array.isArray(body.tools)) throw new Error("Tools: expected a list, [ … ].");
  }
  if (draft.parameters.trim()) {
    const more = read(draft.parameters, "Parameters");
    if (more === null || typeof more !== "object" || Array.isArray(more)) throw new Error("Parameters: expected an object, { … }.");
    Object.assign(body, Object.fromEntries(Object.entries(more).filter(([name]) => !OWN.includes(name))));
  }
  return body;
}

function read(text, what) {
  try { return JSON.parse(text); } catch (error) { throw new Error(`${what}: this is no JSON. ${error.message}`); }
}

/** One of the parameters, as a text; "" where it is not set or the JSON cannot be read. */
export function parameter(draft, name) {
  try { return String(JSON.parse(draft.parameters || "{}")[name] ?? ""); } catch { return ""; }
}

/** With this parameter set to a number, or taken away by "". */
export function withParameter(draft, name, text) {
  const all = JSON.parse(draft.parameters || "{}");
  if (text.trim() === "" || Number.isNaN(Number(text))) delete all[name];
  else all[name] = Number(text);
  return { ...draft, parameters: Object.keys(all).length ? indented(all) : "" };
}

const VARIABLE = /\{\{\s*hc\s*:\s*([A-Za-z_][A-Za-z0-9_-]{0,99})\s*:\s*([A-Za-z_][A-Za-z0-9_-]{0,99})\s*\}\}/g;
const PARTIAL = /\{\{\s*hcp\s*:/;

/** {name: type} of the inputs that a body, or any JSON, asks for. */
export function variablesIn(value) {
  const found = {};
  for (const [, name, kind] of JSON.stringify(value ?? null).matchAll(VARIABLE)) found[name] = kind;
  return found;
}

export const hasPartials = (value) => PARTIAL.test(JSON.stringify(value ?? null));

/** The body with its inputs put in. What stands alone in tools or response_format becomes a value of
 *  its type; elsewhere inputs are text. Throws an Error that names those that are missing or wrong. */
export function filled(body, inputs) {
  const faults = new Set();
  const valueOf = (name, kind) => {
    const text = inputs[name];
    if (text === undefined || text === "") { faults.add(`${name} is missing`); return ""; }
    if (kind === "number" && Number.isNaN(Number(text))) faults.add(`${name}: expected a number`);
    if (kind === "boolean" && !/^(true|false|yes|no)$/i.test(text)) faults.add(`${name}: expected true or false`);
    return text;
  };
  const put = (text) => text.replace(VARIABLE, (_, name, kind) => valueOf(name, kind));
  const putWhole = (text) => {
    const [whole] = [...text.trim().matchAll(VARIABLE)];
    return whole && whole[0] === text.trim() ? typed(valueOf(whole[1], whole[2]), whole[2]) : put(text);
  };
  const found = { ...body };
  for (const [name, change] of [["messages", put], ["tools", putWhole], ["response_format", putWhole]]) {
    if (name in found) found[name] = changed(found[name], change);
  }
  if (faults.size) throw new Error(`Inputs: ${[...faults].join("; ")}.`);
  return found;
}

function typed(text, kind) {
  if (kind === "number") return Number(text);
  if (kind === "boolean") return /^(true|yes)$/i.test(text);
  if (kind === "string") return text;
  try { return JSON.parse(text); } catch { return text; }
}

function changed(value, change) {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((one) => changed(one, change));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [String(change(name)), changed(one, change)]));
}

/** A recorded body of any dialect as a chat. {body, isConverted}. */
export function asChat(body) {
  if (body === null || typeof body !== "object") return { body: { messages: [] }, isConverted: true };
  if (isChat(body)) return { body, isConverted: false };
  const talk = conversation(body, null);
  const config = body.generationConfig ?? body.inferenceConfig ?? {};
  const made = { messages: talk.messages.flatMap(chatMessages) };
  if (typeof body.model === "string") made.model = body.model;
  const numbers = { temperature: body.temperature ?? config.temperature, top_p: body.top_p ?? config.topP, max_tokens: body.max_tokens ?? body.max_output_tokens ?? config.maxOutputTokens ?? config.maxTokens };
  for (const [name, value] of Object.entries(numbers)) if (typeof value === "number") made[name] = value;
  if (talk.tools.length) made.tools = talk.tools.map((tool) => ({ type: "function", function: { name: tool.name, description: tool.tells, parameters: tool.schema ?? { type: "object", properties: {} } } }));
  return { body: made, isConverted: true };
}

/** Whether it is in OpenAI's chat dialect already. */
function isChat(body) {
  if (!Array.isArray(body.messages) || body.system !== undefined) return false;
  if (body.tools?.some?.((tool) => !tool?.function && tool?.type !== "custom")) return false;
  const kinds = body.messages.flatMap((one) => (Array.isArray(one?.content) ? one.content : []).map((part) => part?.type));
  return kinds.every((kind) => ["text", "image_url", "input_audio", "file", "refusal"].includes(kind));
}

function chatMessages(message) {
  const results = message.parts.filter((part) => part.kind === "result").map((part) => ({ role: "tool", tool_call_id: part.id, content: part.parts.map((one) => one.text ?? JSON.stringify(one.value ?? "")).join("\n") }));
  const calls = message.parts.filter((part) => part.kind === "call").map((part) => ({ id: part.id || part.name, type: "function", function: { name: part.name, arguments: typeof part.input === "string" ? part.input : JSON.stringify(part.input ?? {}) } }));
  const said = message.parts.filter((part) => part.text && part.kind !== "reasoning" || part.kind === "image").map((part) => (part.kind === "image" ? { type: "image_url", image_url: { url: part.url } } : { type: "text", text: part.text }));
  if (!said.length && !calls.length) return results;
  const content = said.every((part) => part.type === "text") ? said.map((part) => part.text).join("\n\n") : said;
  return [...results, { role: message.role === "tool" ? "user" : message.role, content: said.length ? content : null, ...(calls.length ? { tool_calls: calls } : {}) }];
}
