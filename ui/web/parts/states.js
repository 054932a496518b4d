// What a page shows when there is nothing, not yet, or no more: never blank.
import { html, useErrorBoundary } from "../lib/html.js";
import { Icon } from "./icon.js";

/** Nothing is there yet, and what to do about it. */
export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2><div>${children}</div></div>`;

/** The first answer is on its way. */
export const Loading = ({ what = "Loading" }) => html`<p class="loading" role="status">${what} …</p>`;

/** What is inside may fail: then this says so, and the rest of the page goes on. */
export function Guarded({ children, what = "This page" }) {
  const [error, again] = useErrorBoundary((found) => console.error(found));
  if (!error) return children;
  return html`<div class="page"><${Problem} error=${new Error(`${what} failed: ${error.message}`)} again=${again} /></div>`;
}

/** It went wrong: what, and a way on. */
export function Problem({ error, again }) {
  if (!error) return null;
  return html`<div class="notice bad row" role="alert">
    <span class="grow">${error.message}</span>
    ${again && html`<button type="button" onClick=${again}><${Icon} name="reload" /> Try again</button>`}
  </div>`;
}

/** One of the four states of a query; `children` is called with its data. */
export function Shown({ query, empty, children }) {
  const { data, error, loading, reload } = query;
  if (data === undefined || data === null) {
    return error ? html`<${Problem} error=${error} again=${reload} />` : html`<${Loading} />`;
  }
  const isEmpty = Array.isArray(data) && data.length === 0;
  return html`
    ${error && html`<${Problem} error=${error} again=${reload} />`}
    <div aria-busy=${loading} class="stack loose">${isEmpty && empty ? empty : children(data)}</div>`;
}

/** A figure with its name, and how it is defined on hover. */
export const Figure = ({ name, value, title, tone = "" }) => html`
  <div class="card figure" title=${title}><span class="name">${name}</span><span class=${`value ${tone}`}>${value}</span></div>`;

/** The status of an answer as a badge: Helicone's negative ones by their meaning. */
export function StatusBadge({ status }) {
  const names = {
    "-2": "timed out", "-3": "cancelled", "-4": "threat", "-100": "cut off",
  };
  if (status === null || status === undefined) return html`<span class="badge">–</span>`;
  const tone = status >= 200 && status < 300 ? "good" : status >= 500 || status < 0 ? "bad" : status >= 400 ? "warn" : "";
  return html`<span class=${`badge ${tone}`}>${names[status] ?? status}</span>`;
}
