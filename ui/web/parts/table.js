// A table that the server sorts and cuts into pages, and the way through them. For some dozens of
// rows at a time; what one scrolls through is parts/list.js.
import { cls, html, useEffect, useRef } from "../lib/html.js";
import { count } from "../lib/format.js";
import { Icon } from "./icon.js";

/** `columns` [{id, name, num, wide, sort, tells, show(row), title(row)}]; `sort` {id, down} and
 *  `setSort(id)`, where the server can; `label` says what it is a table of. */
export function Table({ label, columns, rows, sort, setSort, keyOf, busy = false }) {
  const order = (column) => (sort?.id === column.sort && column.sort ? (sort.down ? "descending" : "ascending") : undefined);
  return html`<div class="table-box" tabindex="0" tabindex="0" role="region" aria-label=${label}><table class="plain" aria-busy=${busy}>
    <thead><tr>${columns.map((column) => html`
      <th key=${column.id} scope="col" class=${column.num ? "num" : ""} title=${column.tells} aria-sort=${order(column)}>
        ${column.sort && setSort ? html`<button type="button" onClick=${() => setSort(column.sort)}>${column.name}${order(column) && html`<${Icon} name=${sort.down ? "down" : "up"} />`}</button>`
          : column.name || html`<span class="visually-hidden">${column.tells}</span>`}</th>`)}</tr></thead>
    <tbody>${rows.map((row, at) => html`<tr key=${keyOf ? keyOf(row) : at}>${columns.map((column) => html`
      <td key=${column.id} class=${cls(column.num && "num", column.wide && "wide")} title=${column.title?.(row)}>${column.show(row)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

/** Where one is among the pages, from 0, and the way to the others. Beyond the last, as after
 *  another filter, it goes to the first. */
export function Pager({ page, size, total, shown, go }) {
  useEffect(() => { if (page && !shown) go(0); }, [page, shown]);
  const first = page * size;
  const last = first + shown;
  const isLast = total === undefined ? shown < size : last >= total;
  if (!page && isLast) return html`<p class="muted small">${count(total ?? shown)} in all</p>`;
  return html`<nav class="row small" aria-label="Pages of the table">
    <button type="button" class="icon-only" aria-label="Previous page" disabled=${!page} onClick=${() => go(page - 1)}><${Icon} name="left" /></button>
    <button type="button" class="icon-only" aria-label="Next page" disabled=${isLast} onClick=${() => go(page + 1)}><${Icon} name="right" /></button>
    <span class="muted">${shown ? `${count(first + 1)} to ${count(last)}` : "Nothing here"}${total !== undefined && ` of ${count(total)}`}</span></nav>`;
}

/** "cost.desc" of the address as {id, down}. */
export function sortOf(text, usual) {
  const [id, way = "desc"] = (text || usual).split(".");
  return { id, down: way !== "asc" };
}

/** What the address says after a click on a column: the other way round, or largest first. */
export const sortText = (sort, id) => `${id}.${sort.id === id && sort.down ? "asc" : "desc"}`;

/** A query whose last answer stays until the next one is there: another page or order of the
 *  same table. `same` changes when it is another table. */
export function useSteady(query, same) {
  const last = useRef({ same, data: undefined });
  if (last.current.same !== same) last.current = { same, data: undefined };
  if (query.data !== undefined) last.current.data = query.data;
  return { ...query, data: last.current.data };
}
