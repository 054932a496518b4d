// Files of a dataset: examples for fine-tuning, or its rows as they are.
import { html, useState } from "../../lib/html.js";
import { ApiError, download } from "../../lib/api.js";
import { Icon } from "../../parts/icon.js";
import { Dialog, Menu } from "../../parts/pop.js";

const FILES = [
  ["openai", "jsonl", "Fine-tuning, OpenAI (JSON lines)"], ["anthropic", "jsonl", "Fine-tuning, Anthropic (JSON lines)"],
  ["raw", "jsonl", "Rows as they are, JSON lines"], ["raw", "csv", "Rows as they are, CSV"], ["raw", "parquet", "Rows as they are, Parquet"],
];

/** Asks only whether the file can be made: what a browser saves cannot tell why it was refused. */
async function check(path) {
  const control = new AbortController();
  const reply = await fetch(path, { credentials: "same-origin", signal: control.signal });
  if (reply.ok) { control.abort(); return; }
  const value = await reply.json().catch(() => null);
  throw new ApiError(reply.status, value?.error ?? `The server answered ${reply.status}.`);
}

export function ExportMenu({ id }) {
  const [state, setState] = useState({ busy: false, refused: null });
  const save = async ([shape, format], skip = false) => {
    const path = `/v1/helicone-dataset/${id}/export?${new URLSearchParams({ shape, format, ...(skip ? { skip: "true" } : {}) })}`;
    setState({ busy: true, refused: null });
    try {
      await check(path);
      download(path);
      setState({ busy: false, refused: null });
    } catch (error) { setState({ busy: false, refused: { error, file: [shape, format] } }); }
  };
  const { refused } = state;
  return html`<${Menu} label="Export" icon="export" text=${state.busy ? "Preparing …" : "Export"}>${(close) => html`${FILES.map((file) => html`
      <button type="button" class="choice" disabled=${state.busy} onClick=${() => { save(file); close(); }}>${file[2]}</button>`)}`}<//>
    ${refused && html`<${Dialog} title="No file was made" close=${() => setState({ busy: false, refused: null })}><div class="stack">
      <p class="notice bad" role="alert">${refused.error.message}</p>
      <div class="row">${refused.error.status === 422 && html`<button type="button" class="primary" onClick=${() => save(refused.file, true)}><${Icon} name="export" /> Leave such rows out</button>`}
        <button type="button" onClick=${() => setState({ busy: false, refused: null })}>Close</button></div></div><//>`}`;
}
