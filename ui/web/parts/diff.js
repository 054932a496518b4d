// Two requests beside each other: what changed between one and another, line by line.
import { html, useMemo, useState } from "../lib/html.js";
import { get } from "../lib/api.js";
import { diffLines } from "../lib/diff.js";
import { useQuery } from "../lib/query.js";
import { bodyOf } from "../lib/stream.js";
import { Problem } from "./states.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const text = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "");

/** This request and another one, by its id. */
export function Compare({ row, request }) {
  const [id, setId] = useState("");
  const [part, setPart] = useState("request");
  const wanted = UUID.test(id.trim()) ? id.trim() : null;
  const other = useQuery(wanted && `request:${wanted}`, (signal) => get(`/v1/request/${wanted}?includeBody=true`, { signal }));
  const mine = part === "request" ? request : bodyOf(row.response_body).value;
  const theirs = other.data && bodyOf(part === "request" ? other.data.request_body : other.data.response_body).value;
  return html`<div class="row"><input class="grow code" aria-label="Id of the other request" placeholder="Id of the request to compare with" value=${id} onInput=${(event) => setId(event.target.value)} />
      <div class="segmented"><button type="button" aria-pressed=${part === "request"} onClick=${() => setPart("request")}>Request</button>
        <button type="button" aria-pressed=${part === "response"} onClick=${() => setPart("response")}>Response</button></div></div>
    <${Problem} error=${other.error} />
    ${theirs !== undefined && other.data && html`<${Diff} before=${text(theirs)} after=${text(mine)} />`}`;
}

/** What has to be taken away from `before` and added to make `after`. */
export function Diff({ before, after }) {
  const lines = useMemo(() => diffLines(before, after), [before, after]);
  if (lines.every(([kind]) => kind === " ")) return html`<p class="muted">They are the same.</p>`;
  return html`<pre class="code diff" tabindex="0">${lines.map(([kind, line]) => {
    const shown = `${kind} ${line}\n`;
    return kind === "+" ? html`<ins>${shown}</ins>` : kind === "-" ? html`<del>${shown}</del>` : shown;
  })}</pre>`;
}
