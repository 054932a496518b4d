import assert from "node:assert/strict";
import test from "node:test";
import { runChat } from "../../../ui/web/lib/run_chat.js";
import { asChat, bodyOfDraft, draftOf, filled, flipped, variablesIn, withParameter } from "../../../ui/web/pages/playground/body.js";

const BODY = {
  model: "gpt-4o-mini", temperature: 0.5,
  messages: [{ role: "system", content: "Be {{hc:mood:string}}." }, { role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] }],
  tools: [{ type: "function", function: { name: "f" } }],
};

test("a body is edited and comes back as it was", () => {
  assert.deepEqual(bodyOfDraft(draftOf(BODY)), BODY);
  assert.deepEqual(bodyOfDraft(draftOf({ ...BODY, stream: true })), BODY);
  const draft = draftOf(BODY);
  assert.deepEqual(draft.messages.map((one) => one.json === null), [true, false]);
  assert.equal(flipped(flipped(draft.messages[0])).text, "Be {{hc:mood:string}}.");
});

test("what cannot be read is named", () => {
  const draft = draftOf(BODY);
  assert.throws(() => bodyOfDraft({ ...draft, tools: "{}" }), /^Error: Tools: expected a list/);
  assert.throws(() => bodyOfDraft({ ...draft, parameters: "{" }), /^Error: Parameters: this is no JSON/);
  assert.equal(withParameter(draft, "temperature", "").parameters, "");
});

test("inputs are put in, and those that are missing are named", () => {
  const body = { messages: [{ role: "user", content: "{{ hc:a:string }} {{hc:n:number}}" }], tools: [{ limit: "{{hc:n:number}}" }], model: "{{hc:a:string}}" };
  assert.deepEqual(variablesIn(body), { a: "string", n: "number" });
  const done = filled(body, { a: "x{{hc:n:number}}", n: "4" });
  assert.equal(done.messages[0].content, "x{{hc:n:number}} 4");
  assert.deepEqual(done.tools, [{ limit: 4 }]);
  assert.equal(done.model, body.model);
  assert.throws(() => filled(body, { n: "four" }), /a is missing; n: expected a number/);
});

test("a request of another dialect becomes a chat", () => {
  const { body, isConverted } = asChat({
    model: "claude", system: "Be brief.", max_tokens: 9, tools: [{ name: "f", input_schema: { type: "object" } }],
    messages: [
      { role: "assistant", content: [{ type: "tool_use", id: "t1", name: "f", input: { a: 1 } }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: "ok" }, { type: "text", text: "Go on" }] },
    ],
  });
  assert.ok(isConverted);
  assert.deepEqual(body.messages.map((one) => one.role), ["system", "assistant", "tool", "user"]);
  assert.equal(body.messages[1].tool_calls[0].function.arguments, '{"a":1}');
  assert.equal(body.messages[2].tool_call_id, "t1");
  assert.equal(body.max_tokens, 9);
  assert.equal(body.tools[0].function.name, "f");
  assert.equal(asChat(BODY).isConverted, false);
});

/** An answer whose bytes come in pieces of this size. */
function answering(text, size, init) {
  const bytes = new TextEncoder().encode(text);
  globalThis.fetch = async () => new Response(new ReadableStream({
    start(control) {
      for (let at = 0; at < bytes.length; at += size) control.enqueue(bytes.slice(at, at + size));
      control.close();
    },
  }), init);
}

test("events arrive once each, wherever the stream is cut", async () => {
  const text = ['data: {"a":"é☕"}', 'data: {"a":2}', "data: [DONE]"].join("\r\n\r\n");
  for (let size = 1; size < text.length; size += 1) {
    const seen = [];
    answering(text, size, { headers: { "content-type": "text/event-stream", "helicone-id": "x" } });
    await runChat({}, { onEvent: (one) => seen.push(one.json), onStart: ({ id }) => assert.equal(id, "x") });
    assert.deepEqual(seen, [{ a: "é☕" }, { a: 2 }, null]);
  }
});

test("a refusal has the provider's status and words", async () => {
  answering('{"data":null,"error":"No key for this provider."}', 9, { status: 401 });
  await assert.rejects(runChat({}, { onEvent() {} }), (error) => error.status === 401 && error.message === "No key for this provider.");
});
