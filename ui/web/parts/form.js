// What forms are made of: a labelled field, and a dialog that says what the server refused.
import { html } from "../lib/html.js";
import { Dialog } from "./pop.js";

/** `children` is the control, whose id is `id`. */
export const Field = ({ id, label, hint, children }) => html`<div class="field"><label for=${id}>${label}</label>${children}${hint && html`<span class="hint">${hint}</span>`}</div>`;

/** Numbers with units of their own beside them: a length of time, as `value` in the unit `size`. */
export function Span({ id, label, hint, span, setSpan, units, least = 1 }) {
  return html`<div class="field"><label for=${id}>${label}</label><div class="pair even">
    <input id=${id} type="number" min=${least} step="1" required value=${span.value} onInput=${(event) => setSpan({ ...span, value: event.target.value })} />
    <select aria-label="Unit of time" value=${span.size} onChange=${(event) => setSpan({ ...span, size: Number(event.target.value) })}>
      ${units.map((size) => html`<option value=${size}>${UNITS[size]}s</option>`)}</select></div>${hint && html`<span class="hint">${hint}</span>`}</div>`;
}

const UNITS = { 86400: "day", 3600: "hour", 60: "minute", 1: "second" };

/** Seconds in the largest unit that fits: {value, size}. */
export function spanOf(seconds) {
  const size = [86400, 3600, 60, 1].find((one) => seconds >= one && seconds % one === 0) ?? (seconds ? 1 : 60);
  return { value: seconds / size, size };
}

export const secondsOf = (span) => Number(span.value) * span.size;

/** 2 hours, 1 day */
export function spanText(seconds) {
  const { value, size } = spanOf(seconds);
  return `${value} ${UNITS[size]}${value === 1 ? "" : "s"}`;
}

/** A form of its own above the page. `act` is what useAct gave. */
export const FormDialog = ({ title, close, submit, act, verb, children }) => html`<${Dialog} title=${title} close=${close}>
  <form class="form" onSubmit=${(event) => { event.preventDefault(); submit(); }}>
    ${children}
    ${act.error && html`<p class="notice bad" role="alert">${act.error.message}</p>`}
    <div class="row"><button type="submit" class="primary" disabled=${act.busy}>${verb}</button><button type="button" onClick=${close}>Cancel</button></div>
  </form><//>`;
