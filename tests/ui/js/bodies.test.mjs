import assert from "node:assert/strict";
import test from "node:test";
import { conversation, preview } from "../../../ui/web/lib/chat.js";
import { diffLines } from "../../../ui/web/lib/diff.js";
import { assemble, bodyOf, eventsOf } from "../../../ui/web/lib/stream.js";
import { flatten, spanOf } from "../../../ui/web/lib/tree.js";

const sse = (...values) => values.map((one) => `data: ${typeof one === "string" ? one : JSON.stringify(one)}\n\n`).join("");
const texts = (talk) => talk.messages.map((one) => [one.role, one.parts.map((part) => part.text ?? part.name ?? part.kind).join("|")]);

test("chat completions, with tools, images and reasoning", () => {
  const talk = conversation(
    { model: "m", temperature: 0, tools: [{ function: { name: "f" } }], messages: [
      { role: "developer", content: "be brief" },
      { role: "user", content: [{ type: "text", text: "look" }, { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }] },
      { role: "assistant", content: null, tool_calls: [{ id: "1", function: { name: "f", arguments: '{"a":1}' } }] },
      { role: "tool", tool_call_id: "1", content: "done" },
    ] },
    { choices: [{ message: { role: "assistant", content: "ok", reasoning_content: "hm" } }] },
  );
  assert.deepEqual(texts(talk), [["system", "be brief"], ["user", "look|image"], ["assistant", "f"], ["tool", "result"], ["assistant", "hm|ok"]]);
  assert.deepEqual(talk.messages[2].parts[0].input, { a: 1 });
  assert.deepEqual(talk.parameters, { model: "m", temperature: 0 });
  assert.equal(talk.tools[0].name, "f");
});

test("Anthropic, Gemini, Converse and Responses", () => {
  assert.deepEqual(texts(conversation({ system: "s", messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "1", content: "r" }] }] }, { type: "message", role: "assistant", content: [{ type: "thinking", thinking: "t" }, { type: "tool_use", name: "f", input: {} }] })),
    [["system", "s"], ["user", "result"], ["assistant", "t|f"]]);
  assert.deepEqual(texts(conversation({ systemInstruction: { parts: [{ text: "s" }] }, contents: [{ role: "user", parts: [{ text: "q" }] }] }, { candidates: [{ content: { role: "model", parts: [{ text: "t", thought: true }, { text: "a" }] } }] })),
    [["system", "s"], ["user", "q"], ["assistant", "t|a"]]);
  assert.deepEqual(texts(conversation({ system: [{ text: "s" }], messages: [{ role: "user", content: [{ text: "q" }] }] }, { output: { message: { role: "assistant", content: [{ text: "a" }] } } })),
    [["system", "s"], ["user", "q"], ["assistant", "a"]]);
  assert.deepEqual(texts(conversation({ instructions: "s", input: "q" }, { output: [{ type: "reasoning", summary: [{ text: "r" }] }, { type: "message", role: "assistant", content: [{ type: "output_text", text: "a" }] }, { type: "function_call", name: "f", arguments: "{}" }] })),
    [["system", "s"], ["user", "q"], ["assistant", "r"], ["assistant", "a"], ["assistant", "f"]]);
});

test("an error is a message", () => {
  assert.deepEqual(texts(conversation({}, { error: { message: "no" } })), [["error", "no"]]);
});

test("whatever comes, nothing is thrown and everything can be drawn", () => {
  const odd = [null, 7, "x", [], {}, { role: {} }, { content: { a: [] } }, { type: {} }, { text: {} }, { parts: 1 }, { tool_calls: [null, 1, {}] }, { function_call: {} }, { image_url: 1, type: "image_url" }];
  for (const one of odd) {
    for (const body of [{ messages: [one] }, { contents: [one] }, { input: [one] }, { system: one, tools: [one] }, { prompt: one }]) {
      for (const answer of [{ choices: [one] }, { output: [one] }, { candidates: [one] }, { content: one, role: "assistant" }, { error: one }]) {
        for (const { role, parts } of conversation(body, answer).messages) {
          assert.equal(typeof role, "string");
          for (const part of parts) for (const name of ["text", "name", "id", "url"]) assert.notEqual(typeof part[name], "object", JSON.stringify([body, answer]));
        }
        assert.equal(typeof preview(answer, true), "string");
        assert.equal(typeof preview(body, false), "string");
      }
    }
  }
});

test("streams add up to the answer they are", () => {
  const chat = bodyOf(sse({ choices: [{ index: 0, delta: { content: "Hel" } }] }, { choices: [{ index: 0, delta: { content: "lo", tool_calls: [{ index: 0, id: "1", function: { name: "f", arguments: '{"a"' } }] } }] }, { choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }, finish_reason: "stop" }] }, "[DONE]"));
  assert.equal(chat.events.length, 4);
  assert.equal(chat.value.choices[0].message.content, "Hello");
  assert.equal(chat.value.choices[0].message.tool_calls[0].function.arguments, '{"a":1}');
  const claude = bodyOf(sse({ type: "message_start", message: { model: "c", usage: { input_tokens: 1 } } }, { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }, { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hi" } }, { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } }));
  assert.deepEqual(claude.value.content, [{ type: "text", text: "Hi" }]);
  assert.deepEqual(claude.value.usage, { input_tokens: 1, output_tokens: 2 });
  const gemini = bodyOf(sse({ candidates: [{ content: { parts: [{ text: "a" }] } }] }, { candidates: [{ content: { parts: [{ text: "b" }] } }] }));
  assert.equal(gemini.value.candidates[0].content.parts[0].text, "ab");
  const whole = bodyOf(sse({ type: "response.output_text.delta", delta: "x" }, { type: "response.completed", response: { output: [] } }));
  assert.deepEqual(whole.value, { output: [] });
});

test("a stream that was cut off or lies is shown as far as it goes", () => {
  const cut = bodyOf('data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choi');
  assert.equal(cut.value.choices[0].message.content, "a");
  const lies = sse({ choices: [{ index: 1e9, delta: { content: "a", tool_calls: [{ index: 1e9 }] } }, null] }, { type: "content_block_delta", index: -5, delta: null });
  assert.ok(assemble(eventsOf(lies)));
  assert.equal(eventsOf("no stream at all"), null);
});

test("a difference is what changed and no more", () => {
  assert.deepEqual(diffLines("a\nb\nc", "a\nx\nc"), [[" ", "a"], ["-", "b"], ["+", "x"], [" ", "c"]]);
  assert.ok(diffLines("a", "a").every(([kind]) => kind === " "));
  const long = Array.from({ length: 5000 }, (_, n) => `a${n}`).join("\n");
  assert.equal(diffLines(long, long.replaceAll("a", "b")).length, 10_000);
});

test("a tree becomes rows, deep or closed", () => {
  const request = (at) => ({ request_id: `r${at}`, created_at: `2026-01-01T00:00:0${at}Z`, ended_at: null, latency_ms: 500, path: "/a", model: "m", cost: 1, error: false });
  const leaf = { path: "/a", name: "a", created_at: "2026-01-01T00:00:01Z", ended_at: "2026-01-01T00:00:03Z", cost: 2, errors: 0, requests: [request(2), request(1)], children: [] };
  const tree = { path: "/", name: "", created_at: leaf.created_at, ended_at: leaf.ended_at, requests: [], children: [leaf] };
  assert.deepEqual(flatten(tree).map((row) => [row.depth, row.name]), [[0, "a"], [1, "m"], [1, "m"]]);
  assert.deepEqual(flatten(tree)[1].request.request_id, "r1");
  assert.equal(flatten(tree, new Set(["/a"])).length, 1);
  let deep = leaf;
  for (let n = 0; n < 20_000; n += 1) deep = { ...leaf, path: `/${n}`, requests: [], children: [deep] };
  assert.equal(flatten({ ...tree, children: [deep] }).length, 20_003);
  assert.ok(spanOf({ created_at: null, ended_at: null }).ms > 0);
});
