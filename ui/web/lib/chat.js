// Bodies of all dialects as one kind of conversation. Pure: JSON in, messages out; see tests/ui.
//
// A message is {role, parts, name}; a part {kind: "text"|"reasoning"|"image"|"audio"|"file"|"call"|
// "result"|"refusal"|"json", …}. What is not known is kept as JSON: nothing is left out.

/** {messages, tools, parameters, kind} of an exchange's two bodies. `kind` "" means that neither
 *  is a conversation. `from` is where the answer begins among the messages. */
export function conversation(request, response) {
  const asked = asObject(request);
  const given = asObject(response);
  const messages = asked ? fromRequest(asked) : [];
  const answer = given ? fromResponse(given) : [];
  const kind = messages.length || answer.length ? "chat" : "";
  return { kind, messages: [...messages, ...answer], from: messages.length, tools: asked ? toolsOf(asked) : [], parameters: asked ? parametersOf(asked) : {} };
}

const asObject = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : null);
const asText = (value, otherwise = "") => (typeof value === "string" ? value : typeof value === "number" ? String(value) : otherwise);
const asList = (value) => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);

const BULK = new Set(["messages", "contents", "input", "prompt", "tools", "system", "systemInstruction", "system_instruction", "instructions"]);

/** What was asked for beside the conversation: model, temperature and the like. */
function parametersOf(body) {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !BULK.has(name)));
}

function toolsOf(body) {
  return asList(body.tools).flatMap((tool) => asList(tool?.functionDeclarations ?? tool)).filter(asObject).map((tool) => ({
    name: asText(tool.function?.name ?? tool.name ?? tool.toolSpec?.name ?? tool.type, "tool"),
    tells: asText(tool.function?.description ?? tool.description),
    schema: tool.function?.parameters ?? tool.input_schema ?? tool.parameters ?? null,
  }));
}

function fromRequest(body) {
  const found = [];
  const system = body.system ?? body.systemInstruction ?? body.system_instruction ?? body.instructions;
  if (system) found.push({ role: "system", parts: partsOf(system) });
  if (Array.isArray(body.messages)) found.push(...body.messages.map(message));
  else if (Array.isArray(body.contents)) found.push(...body.contents.map(message));
  else if (Array.isArray(body.input) && body.input.some(asObject)) found.push(...body.input.map(item));
  else if (body.input !== undefined) found.push({ role: "user", parts: partsOf(body.input) });
  else if (typeof body.prompt === "string" || Array.isArray(body.prompt)) found.push({ role: "user", parts: partsOf(body.prompt) });
  return found;
}

function fromResponse(body) {
  if (body.error) return [{ role: "error", parts: [{ kind: "text", text: asText(body.error.message) || asText(body.error) || JSON.stringify(body.error, null, 2) }] }];
  if (Array.isArray(body.choices)) {
    return body.choices.filter(asObject).map((choice) => {
      const made = choice.message ?? choice.delta;
      return asObject(made) ? message({ role: "assistant", ...made }) : { role: "assistant", parts: [{ kind: "text", text: asText(choice.text) }] };
    });
  }
  if (Array.isArray(body.candidates)) return body.candidates.filter(asObject).map((one) => message({ role: "assistant", ...one.content }));
  if (Array.isArray(body.output)) return body.output.map(item);
  if (asObject(body.output)?.message) return [message(body.output.message)];
  if (body.content !== undefined && (body.role === "assistant" || body.type === "message")) return [message({ ...body, role: "assistant" })];
  return [];
}

const ROLES = { model: "assistant", developer: "system", function: "tool" };

function message(one) {
  if (!asObject(one)) return { role: "user", parts: partsOf(one) };
  const parts = [];
  const thought = one.reasoning_content ?? one.reasoning ?? one.thinking;
  if (typeof thought === "string" && thought) parts.push({ kind: "reasoning", text: thought });
  const said = asText(one.role, "user");
  const role = Object.hasOwn(ROLES, said) ? ROLES[said] : said;
  if (role === "tool" && one.tool_call_id !== undefined) parts.push({ kind: "result", id: asText(one.tool_call_id), parts: partsOf(one.content) });
  else parts.push(...partsOf(one.content ?? one.parts));
  if (one.refusal) parts.push({ kind: "refusal", text: asText(one.refusal) });
  for (const call of asList(one.tool_calls)) parts.push(callOf(call?.id, call?.function?.name ?? call?.custom?.name, call?.function?.arguments ?? call?.custom?.input));
  if (one.function_call) parts.push(callOf("", one.function_call.name, one.function_call.arguments));
  if (asObject(one.audio)) parts.push({ kind: "audio", text: asText(one.audio.transcript), data: "" });
  return { role, name: typeof one.name === "string" ? one.name : "", parts };
}

/** An entry of the Responses API's input or output. */
function item(one) {
  if (!asObject(one)) return { role: "user", parts: partsOf(one) };
  if (one.type === "function_call") return { role: "assistant", parts: [callOf(one.call_id, one.name, one.arguments)] };
  if (one.type === "function_call_output") return { role: "tool", parts: [{ kind: "result", id: asText(one.call_id), parts: partsOf(one.output) }] };
  if (one.type === "reasoning") return { role: "assistant", parts: [{ kind: "reasoning", text: asList(one.summary?.length ? one.summary : one.content).map((part) => asText(part?.text)).join("\n") }] };
  if (one.type && one.type !== "message" && one.content === undefined) return { role: asText(one.role, "assistant"), parts: [part(one)] };
  return message(one.role ? one : { role: "assistant", ...one });
}

function callOf(id, name, given) {
  let input = given;
  if (typeof given === "string") { try { input = JSON.parse(given); } catch { /* as it came */ } }
  return { kind: "call", id: asText(id), name: asText(name, "?"), input };
}

function partsOf(content) {
  if (content === null || content === undefined) return [];
  if (typeof content === "string") return content ? [{ kind: "text", text: content }] : [];
  if (asObject(content)?.parts) return partsOf(content.parts);
  return asList(content).map(part).filter(Boolean);
}

function part(one) {
  if (typeof one === "string") return { kind: "text", text: one };
  if (!asObject(one)) return { kind: "json", value: one };
  const { type } = one;
  if (one.thought && typeof one.text === "string") return { kind: "reasoning", text: one.text };
  if (type === "thinking" || type === "redacted_thinking") return { kind: "reasoning", text: asText(one.thinking, "(not shown by the provider)") };
  if (asObject(one.reasoningContent)) return { kind: "reasoning", text: asText(one.reasoningContent.reasoningText?.text) };
  if (type === "refusal") return { kind: "refusal", text: asText(one.refusal) };
  if (typeof one.text === "string") return { kind: "text", text: one.text };
  if (type === "tool_use" || type === "server_tool_use") return callOf(one.id, one.name, one.input);
  if (asObject(one.toolUse)) return callOf(one.toolUse.toolUseId, one.toolUse.name, one.toolUse.input);
  if (asObject(one.functionCall)) return callOf("", one.functionCall.name, one.functionCall.args);
  if (type === "tool_result") return { kind: "result", id: asText(one.tool_use_id), isError: Boolean(one.is_error), parts: partsOf(one.content) };
  if (asObject(one.toolResult)) return { kind: "result", id: asText(one.toolResult.toolUseId), parts: partsOf(one.toolResult.content) };
  if (asObject(one.functionResponse)) return { kind: "result", id: asText(one.functionResponse.name), parts: [{ kind: "json", value: one.functionResponse.response }] };
  const image = asText(imageOf(one));
  if (image) return { kind: "image", url: image };
  if (asObject(one.input_audio)) return { kind: "audio", text: "", data: "", format: asText(one.input_audio.format) };
  if (type === "document" || type === "file" || type === "input_file") return { kind: "file", name: asText(one.title ?? one.file?.filename ?? one.filename, "file") };
  return { kind: "json", value: one };
}

function imageOf(one) {
  if (one.type === "image_url" || one.type === "input_image") return typeof one.image_url === "string" ? one.image_url : one.image_url?.url ?? "";
  if (one.type === "image" && one.source) return one.source.type === "base64" ? `data:${one.source.media_type};base64,${one.source.data}` : one.source.url ?? "";
  const inline = one.inlineData ?? one.inline_data;
  if (inline?.data && String(inline.mimeType ?? inline.mime_type).startsWith("image/")) return `data:${inline.mimeType ?? inline.mime_type};base64,${inline.data}`;
  if (one.image?.source?.bytes) return `data:image/${one.image.format ?? "png"};base64,${one.image.source.bytes}`;
  return "";
}

/** What a list shows of a conversation: the last thing asked, or the answer. */
export function preview(body, isResponse) {
  const value = asObject(body);
  if (!value) return typeof body === "string" ? body.slice(0, 400) : "";
  const messages = isResponse ? fromResponse(value) : fromRequest(value);
  const last = isResponse ? messages[0] : messages.findLast((one) => one.role === "user") ?? messages.at(-1);
  for (const one of last?.parts ?? []) {
    if (one.text) return one.text.slice(0, 400);
    if (one.kind === "call") return `${one.name}(${JSON.stringify(one.input ?? {}).slice(0, 300)})`;
    if (one.kind !== "json") return `[${one.kind}]`;
  }
  if (value.helicone_message) return asText(value.helicone_message);
  return JSON.stringify(value).slice(0, 400);
}
