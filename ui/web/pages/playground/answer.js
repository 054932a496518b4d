// Runs of the playground: the answer as it comes, and what it took once its record is there.
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { conversation } from "../../lib/chat.js";
import { NONE, count, duration, time, usd, utc } from "../../lib/format.js";
import { href } from "../../lib/route.js";
import { runChat } from "../../lib/run_chat.js";
import { assemble } from "../../lib/stream.js";
import { Icon } from "../../parts/icon.js";
import { Messages } from "../../parts/message.js";

const RUNS_MAX = 6;
const DRAW_MS = 60;
const EVENTS_MAX = 20_000;
const LOOK_MS = [300, 700, 1500, 3000, 5000];

/** Runs, the newest first: {key, model, since, busy, answer, first_ms, took_ms, id, error, stopped}. */
export function useChatRuns() {
  const [runs, setRuns] = useState([]);
  const control = useRef(null);
  useEffect(() => () => control.current?.abort(), []);
  const start = async (body) => {
    control.current?.abort();
    const mine = new AbortController();
    control.current = mine;
    const key = `${Date.now()}-${Math.random()}`;
    const since = performance.now();
    const put = (patch) => setRuns((all) => all.map((one) => (one.key === key ? { ...one, ...patch } : one)));
    setRuns((all) => [{ key, model: body.model ?? "", at: Date.now(), busy: true, answer: null }, ...all].slice(0, RUNS_MAX));
    const events = [];
    let drawing = null;
    const draw = () => { drawing = null; put({ answer: assemble(events) }); };
    const onEvent = (one) => {
      if (!events.length) put({ first_ms: performance.now() - since });
      if (events.length < EVENTS_MAX) events.push(one);
      drawing ??= setTimeout(draw, DRAW_MS);
    };
    const ended = (patch) => {
      clearTimeout(drawing);
      put({ busy: false, took_ms: performance.now() - since, ...(events.length ? { answer: assemble(events) } : {}), ...patch });
    };
    try {
      await runChat(body, { signal: mine.signal, onEvent, onStart: ({ id }) => put({ id }) });
      ended({});
    } catch (error) {
      ended(mine.signal.aborted ? { stopped: true } : { error: error.status === undefined ? new Error("The answer broke off. Its record says more.") : error });
    }
  };
  return { runs, start, stop: () => control.current?.abort(), busy: Boolean(runs[0]?.busy) };
}

/** The record of a run, asked for a few times: it is written after the answer has ended. */
function useRecord(run) {
  const [row, setRow] = useState(null);
  useEffect(() => {
    if (run.busy || !run.id) return undefined;
    let timer = null;
    const control = new AbortController();
    const look = (turn) => {
      if (turn >= LOOK_MS.length) return;
      timer = setTimeout(() => get(`/v1/request/${run.id}`, { signal: control.signal }).then(setRow, () => look(turn + 1)), LOOK_MS[turn]);
    };
    look(0);
    return () => { clearTimeout(timer); control.abort(); };
  }, [run.busy, run.id]);
  return row;
}

/** One run. `add` takes the answer's messages into the conversation. */
export function Answer({ run, add }) {
  const row = useRecord(run);
  const usage = run.answer?.usage ?? {};
  const { messages } = conversation(null, run.answer);
  const asked = row?.prompt_tokens ?? usage.prompt_tokens;
  const given = row?.completion_tokens ?? usage.completion_tokens;
  const choice = run.answer?.choices?.[0];
  return html`<section class="stack answer" aria-busy=${run.busy}>
    <div class="row small"><b class="cut">${run.answer?.model ?? run.model}</b><span class="muted" title=${utc(run.at)}>${time(run.at)}</span>
      ${run.stopped && html`<span class="badge warn">stopped</span>`}
      ${choice?.finish_reason && choice.finish_reason !== "stop" && html`<span class="badge warn" title="Why the model ended">${choice.finish_reason}</span>`}</div>
    ${run.error && html`<div class="notice bad" role="alert"><b>${run.error.status ? `${run.error.status}: ` : ""}</b>${run.error.message}</div>`}
    <div class="stack" aria-live=${run.busy ? "off" : "polite"}><${Messages} messages=${messages} /></div>
    ${run.busy && !messages.length && html`<p class="muted" role="status">Waiting for the first token …</p>`}
    <div class="row small muted">
      <span title="Prompt tokens and completion tokens">${count(asked)} + ${count(given)} tokens</span>
      <span title="USD, by the price list at the time; known once the record is there">${row ? usd(row.costUSD) : NONE}</span>
      <span title="From the call to the end of the answer, as this browser saw it">${run.busy ? "…" : duration(run.took_ms)}</span>
      <span title="From the call to the first event">${run.first_ms !== undefined && run.answer ? `first after ${duration(run.first_ms)}` : ""}</span>
      <span class="grow" />
      ${add && !run.busy && choice?.message && html`<button type="button" onClick=${() => add(choice.message)}><${Icon} name="plus" /> Go on from here</button>`}
      ${run.id && !run.busy && html`<a class="button" href=${href("requests", [], { id: run.id })}><${Icon} name="requests" /> Its request</a>`}</div></section>`;
}
