// A stream as it is on record: its events, and the answer that they add up to. Pure; see tests/ui.

const EVENTS_MAX = 20_000;

/** Events {event, data, json} of server-sent events; null when the text is none. */
export function eventsOf(text) {
  if (typeof text !== "string" || !/^(?:data|event|id|retry)?:|\n(?:data|event):/.test(text)) return null;
  const found = [];
  for (const block of text.replace(/\r\n?/g, "\n").split("\n\n")) {
    const data = [];
    let event = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      else if (line.startsWith("event:")) event = line.slice(6).trim();
    }
    if (!data.length && !event) continue;
    const joined = data.join("\n");
    let json = null;
    try { json = JSON.parse(joined); } catch { /* [DONE], or cut off */ }
    found.push({ event, data: joined, json });
    if (found.length >= EVENTS_MAX) break;
  }
  return found.length ? found : null;
}

/** The answer of a stream, in the shape that the provider would have given it at once. */
export function assemble(events) {
  const values = events.map((one) => one.json).filter((one) => one !== null && typeof one === "object");
  const failed = values.find((one) => one.error);
  const whole = values.find((one) => one.type === "response.completed" || one.type === "response.incomplete" || one.type === "response.failed");
  if (whole) return whole.response;
  if (values.some((one) => one.type === "message_start" || one.type === "content_block_delta")) return anthropic(values, failed);
  if (values.some((one) => typeof one.type === "string" && one.type.startsWith("response."))) return responses(values);
  if (values.some((one) => Array.isArray(one.choices))) return chat(values, failed);
  if (values.some((one) => Array.isArray(one.candidates))) return gemini(values);
  if (values.some((one) => one.contentBlockDelta || one.messageStart)) return converse(values);
  return failed ?? null;
}

function chat(values, failed) {
  const choices = [];
  const found = { choices };
  for (const value of values) {
    for (const name of ["id", "model", "usage"]) if (value[name]) found[name] = value[name];
    for (const choice of Array.isArray(value.choices) ? value.choices : []) {
      const at = Number.isInteger(choice?.index) && choice.index >= 0 && choice.index < 128 ? choice.index : 0;
      choices[at] ??= { index: at, message: { role: "assistant", content: "" }, finish_reason: null };
      const { message } = choices[at];
      const delta = choice?.delta ?? {};
      if (typeof choice?.text === "string") choices[at].text = (choices[at].text ?? "") + choice.text;
      if (typeof delta.content === "string") message.content += delta.content;
      for (const name of ["reasoning_content", "reasoning", "refusal"]) {
        if (typeof delta[name] === "string") message[name] = (message[name] ?? "") + delta[name];
      }
      for (const call of Array.isArray(delta.tool_calls) ? delta.tool_calls : []) addCall(message, call);
      if (choice?.finish_reason) choices[at].finish_reason = choice.finish_reason;
    }
  }
  found.choices = choices.filter(Boolean);
  for (const choice of found.choices) if (choice.text !== undefined) delete choice.message;
  return failed ? { ...found, error: failed.error } : found;
}

function addCall(message, call) {
  message.tool_calls ??= [];
  const at = Number.isInteger(call?.index) && call.index >= 0 && call.index < 512 ? call.index : message.tool_calls.length;
  while (message.tool_calls.length <= at) message.tool_calls.push({ id: "", type: "function", function: { name: "", arguments: "" } });
  const known = message.tool_calls[at];
  if (call?.id) known.id = call.id;
  if (call?.function?.name) known.function.name += call.function.name;
  if (typeof call?.function?.arguments === "string") known.function.arguments += call.function.arguments;
}

function anthropic(values, failed) {
  const found = { type: "message", role: "assistant", content: [] };
  const inputs = [];
  for (const value of values) {
    if (value.type === "message_start") Object.assign(found, value.message, { content: [] });
    const at = Number.isInteger(value.index) && value.index >= 0 && value.index < 4096 ? value.index : 0;
    if (value.type === "content_block_start") found.content[at] = { ...value.content_block };
    if (value.type === "content_block_delta" && value.delta) {
      const block = (found.content[at] ??= { type: "text", text: "" });
      if (typeof value.delta.text === "string") block.text = (block.text ?? "") + value.delta.text;
      if (typeof value.delta.thinking === "string") block.thinking = (block.thinking ?? "") + value.delta.thinking;
      if (typeof value.delta.partial_json === "string") inputs[at] = (inputs[at] ?? "") + value.delta.partial_json;
    }
    if (value.type === "message_delta") Object.assign(found, value.delta, value.usage ? { usage: { ...found.usage, ...value.usage } } : {});
  }
  inputs.forEach((text, at) => {
    if (!found.content[at]) return;
    try { found.content[at].input = JSON.parse(text); } catch { found.content[at].input = text; }
  });
  found.content = found.content.filter(Boolean);
  return failed ? { ...found, error: failed.error } : found;
}

function responses(values) {
  const items = [];
  for (const value of values) {
    const at = Number.isInteger(value.output_index) && value.output_index >= 0 && value.output_index < 1024 ? value.output_index : 0;
    if (value.type === "response.output_item.added" || value.type === "response.output_item.done") items[at] = value.item;
    if (value.type === "response.output_text.delta") {
      items[at] ??= { type: "message", role: "assistant", content: [] };
      items[at].content ??= [];
      if (!items[at].content.length) items[at].content = [{ type: "output_text", text: "" }];
      items[at].content[0].text = (items[at].content[0].text ?? "") + value.delta;
    }
  }
  return { output: items.filter(Boolean) };
}

function gemini(values) {
  const parts = [];
  const found = { candidates: [{ content: { role: "model", parts } }] };
  for (const value of values) {
    for (const part of value.candidates?.[0]?.content?.parts ?? []) {
      const last = parts.at(-1);
      if (typeof part?.text === "string" && last && typeof last.text === "string" && Boolean(last.thought) === Boolean(part.thought)) last.text += part.text;
      else if (part) parts.push({ ...part });
    }
    if (value.candidates?.[0]?.finishReason) found.candidates[0].finishReason = value.candidates[0].finishReason;
    if (value.usageMetadata) found.usageMetadata = value.usageMetadata;
  }
  return found;
}

function converse(values) {
  const content = [];
  for (const value of values) {
    const { contentBlockIndex: at = 0, delta } = value.contentBlockDelta ?? {};
    if (typeof delta?.text === "string" && at >= 0 && at < 1024) {
      content[at] ??= { text: "" };
      content[at].text += delta.text;
    }
  }
  return { output: { message: { role: "assistant", content: content.filter(Boolean) } } };
}

/** A body as it can be shown: {value, events}. Streams become the answer they add up to; JSON that
 *  came as text is read. */
export function bodyOf(body) {
  if (typeof body !== "string") return { value: body, events: null };
  const events = eventsOf(body);
  if (events) return { value: assemble(events) ?? body, events };
  try { return { value: JSON.parse(body), events: null }; } catch { return { value: body, events: null }; }
}
