// A conversation as people read it: text, reasoning, calls of tools and their results, images.
import { html, useState } from "../lib/html.js";
import { Icon } from "./icon.js";
import { Markdown } from "./markdown.js";
import { copy } from "./pop.js";

const TEXT_SHOWN = 6000;
const IMAGE = /^data:image\/(png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]+$/;

export const Messages = ({ messages }) => html`${messages.map((one, at) => html`<${Message} key=${at} one=${one} />`)}`;

function Message({ one }) {
  return html`<article class=${`message ${one.role}`}>
    <header><span class="grow">${one.role}${one.name && ` · ${one.name}`}</span>
      <button type="button" class="plain icon-only" aria-label="Copy this message" onClick=${() => copy(plain(one.parts))}><${Icon} name="copy" /></button></header>
    <div class="parts">${one.parts.map((part, at) => html`<${Part} key=${at} part=${part} />`)}
      ${!one.parts.length && html`<span class="muted">(nothing)</span>`}</div></article>`;
}

const plain = (parts) => parts.map((part) => part.text ?? (part.kind === "call" ? `${part.name}(${JSON.stringify(part.input)})` : part.parts ? plain(part.parts) : part.url ?? JSON.stringify(part.value ?? ""))).join("\n");

function Part({ part }) {
  switch (part.kind) {
    case "text": return html`<${Long} text=${part.text} />`;
    case "reasoning": return html`<details class="reasoning" open><summary>Reasoning</summary><${Long} text=${part.text} /></details>`;
    case "refusal": return html`<div class="notice warn">${part.text}</div>`;
    case "call": return html`<div class="tool-part"><div class="row tight"><span class="badge accent">call</span><code>${part.name}</code><span class="muted small mono">${part.id}</span></div>
      <${Json} value=${part.input} /></div>`;
    case "result": return html`<div class="tool-part"><div class="row tight"><span class=${`badge ${part.isError ? "bad" : "good"}`}>result</span><span class="muted small mono">${part.id}</span></div>
      ${part.parts.map((inner, at) => html`<${Result} key=${at} part=${inner} />`)}</div>`;
    case "image": return html`<${Image} url=${part.url} />`;
    case "audio": return html`<div><span class="badge">audio${part.format && ` ${part.format}`}</span> ${part.text}</div>`;
    case "file": return html`<span class="badge">${part.name}</span>`;
    default: return html`<${Json} value=${part.value} />`;
  }
}

/** Results of tools are seldom Markdown: JSON is shown as such, the rest as it is. */
function Result({ part }) {
  if (part.kind !== "text") return html`<${Part} part=${part} />`;
  let value = part.text;
  try { value = JSON.parse(part.text); } catch { /* text it is */ }
  return typeof value === "object" && value !== null ? html`<${Json} value=${value} />` : html`<pre>${part.text}</pre>`;
}

/** Images that came in the body; those of elsewhere are named, and fetched by nobody. */
function Image({ url }) {
  if (IMAGE.test(url)) return html`<img src=${url} alt="From the conversation" loading="lazy" />`;
  if (/^https?:/i.test(url)) return html`<span>Image: <a href=${url} target="_blank" rel="noopener noreferrer nofollow">${url.slice(0, 200)}</a></span>`;
  return html`<span class="badge">image, not shown</span>`;
}

/** Markdown, cut where it is very long until somebody asks for the rest. */
function Long({ text }) {
  const [whole, setWhole] = useState(text.length <= TEXT_SHOWN * 1.2);
  return html`<div><${Markdown} text=${whole ? text : text.slice(0, TEXT_SHOWN)} />
    ${!whole && html`<button type="button" class="link" onClick=${() => setWhole(true)}>… ${(text.length - TEXT_SHOWN).toLocaleString("en")} more characters</button>`}</div>`;
}

const JSON_SHOWN = 60_000;

/** JSON, indented; strings as they are. */
export function Json({ value }) {
  const [whole, setWhole] = useState(false);
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "";
  return html`<pre class="code" tabindex="0">${whole ? text : text.slice(0, JSON_SHOWN)}${!whole && text.length > JSON_SHOWN && html`<button type="button" class="link" onClick=${() => setWhole(true)}>… ${(text.length - JSON_SHOWN).toLocaleString("en")} more characters</button>`}</pre>`;
}
