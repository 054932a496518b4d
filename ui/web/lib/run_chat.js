// One chat completion of the playground, its events as they come. Where the call is made is known here alone.
import { ApiError, csrfHeaders } from "./api.js";
import { eventsOf } from "./stream.js";

const PATH = "/v1/playground/generate";

/** `onEvent` gets each event {event, data, json}; `onStart({id})` the id that its record will have.
 *  Throws ApiError for a refusal; an AbortError when `signal` ended it. */
export async function runChat(body, { signal, onEvent, onStart = () => {} }) {
  let reply;
  try {
    reply = await fetch(PATH, {
      method: "POST", signal, credentials: "same-origin",
      headers: { "content-type": "application/json", accept: "text/event-stream, application/json", ...csrfHeaders() },
      body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true, ...body.stream_options } }),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached. It may be restarting; try again.");
  }
  onStart({ id: reply.headers.get("helicone-id") ?? "" });
  if (!reply.ok) throw refusal(reply.status, await reply.text());
  if (!(reply.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
    const value = JSON.parse(await reply.text());
    onEvent({ event: "", data: "", json: asChunk(value.data ?? value) });
    return;
  }
  await readEvents(reply.body, onEvent);
}

async function readEvents(stream, onEvent) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { done, value } = await reader.read();
    left = (left + (value ?? "")).replace(/\r\n/g, "\n");
    const end = done ? left.length : left.lastIndexOf("\n\n") + 2;
    if (end >= 2) {
      for (const one of eventsOf(left.slice(0, end)) ?? []) onEvent(one);
      left = left.slice(end);
    }
    if (done) return;
  }
}

function refusal(status, text) {
  let value = text;
  try { value = JSON.parse(text); } catch { /* plain text it is */ }
  const error = value?.error ?? value;
  const message = typeof error === "string" ? error : error?.message;
  return new ApiError(status, message ? String(message).slice(0, 2000) : `The server answered ${status}.`, value?.code ?? "");
}

/** A completion that came at once, as the one chunk of a stream. */
const asChunk = (value) => ({ ...value, choices: (value?.choices ?? []).map((choice) => ({ index: choice.index, delta: choice.message, finish_reason: choice.finish_reason })) });
