// What pages of settings are made of: sections, fields, choices in the address, secrets shown once.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { Icon } from "./icon.js";
import { Dialog, copy } from "./pop.js";

/** A card with a name, what it is about, and what can be done in it. */
export const Section = ({ title, tells, act, children }) => html`<section class="card stack">
  <header><h2>${title}</h2>${act}</header>
  ${tells && html`<p class="muted">${tells}</p>`}
  ${children}</section>`;

/** A control with its label and a hint; `id` is the control's. */
export const Field = ({ id, label, hint, children }) => html`<div class="field">
  <label for=${id}>${label}</label>${children}
  ${hint && html`<span class="hint" id=${`${id}-hint`}>${hint}</span>`}</div>`;

/** A line of text to be entered. */
export const Text = ({ id, label, hint, value, set, ...more }) => html`<${Field} id=${id} label=${label} hint=${hint}>
  <input id=${id} value=${value} aria-describedby=${hint ? `${id}-hint` : undefined} onInput=${(event) => set(event.target.value)} ...${more} /><//>`;

/** One of a few, as buttons beside each other. `choices` [[id, name]]. */
export const Choice = ({ label, choices, value, set }) => html`<div class="segmented" role="group" aria-label=${label}>
  ${choices.map(([id, name]) => html`<button type="button" key=${id} aria-pressed=${id === value} onClick=${() => set(id)}>${name}</button>`)}</div>`;

/** The parts of a page, one at a time. `tabs` [[id, name]]. */
export const Tabs = ({ label, tabs, value, set }) => html`<div class="tabs" role="tablist" aria-label=${label}>
  ${tabs.map(([id, name]) => html`<button type="button" role="tab" key=${id} aria-selected=${id === value} onClick=${() => set(id)}>${name}</button>`)}</div>`;

/** A form with the server's refusal beside it. `act` is the state of useAct. */
export function Form({ act, submit, verb, close, isReady = true, children }) {
  const refusal = useRef(null);
  useEffect(() => refusal.current?.scrollIntoView({ block: "nearest" }), [act.error]);
  return html`<form class="form" onSubmit=${(event) => { event.preventDefault(); submit(); }}>
    ${children}
    ${act.error && html`<p class="notice bad" role="alert" ref=${refusal}>${act.error.message}</p>`}
    <div class="row"><button type="submit" class="primary" disabled=${act.busy || !isReady}>${verb}</button>
      ${close && html`<button type="button" onClick=${close}>Cancel</button>`}</div></form>`;
}

/** A secret that is known this once. Closing asks once whether it was copied; leaving the page, the
 *  browser does. */
export function Once({ title, secret, children, close, what = "key" }) {
  const [isCopied, setCopied] = useState(false);
  const [isAsked, setAsked] = useState(false);
  useEffect(() => {
    if (isCopied) return undefined;
    const stay = (event) => event.preventDefault();
    addEventListener("beforeunload", stay);
    return () => removeEventListener("beforeunload", stay);
  }, [isCopied]);
  const leave = () => (isCopied || isAsked ? close() : setAsked(true));
  const take = async () => {
    await copy(secret, `The ${what} is on the clipboard`);
    setCopied(true);
  };
  return html`<${Dialog} title=${title} close=${leave}><div class="stack">
    <p class="notice warn">This ${what} is shown <b>once</b>. Keep it somewhere safe: nobody can show it again, this server only knows its hash.</p>
    <pre class="code" tabindex="0" data-secret>${secret}</pre>
    ${children}
    ${isAsked && !isCopied && html`<p class="notice bad" role="alert">It was not copied yet, and it cannot be shown again.</p>`}
    <div class="row"><button type="button" class="primary" autofocus onClick=${take}><${Icon} name=${isCopied ? "check" : "copy"} /> ${isCopied ? "Copied" : "Copy"}</button>
      <button type="button" onClick=${leave}>${isAsked && !isCopied ? "Close without copying" : "Done"}</button></div>
  </div><//>`;
}

/** How much of a limit is used: `parts` [[share, tone, what]] of a whole of 1, beside each other. */
export function Meter({ parts, label }) {
  const all = parts.reduce((sum, [share]) => sum + share, 0);
  const width = (share) => (node) => { if (node) node.style.width = `${100 * Math.max(0, Math.min(1, all > 1 ? share / all : share))}%`; };
  return html`<div class="meter" role="img" aria-label=${label} title=${label}>
    ${parts.map(([share, tone]) => html`<span class=${tone} ref=${width(share)} />`)}</div>`;
}
