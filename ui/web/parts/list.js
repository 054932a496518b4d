// A long list of which only what is seen is drawn: a million rows cost what fifty do.
import { cls, html, useEffect } from "../lib/html.js";
import { useRows } from "../lib/rows.js";
import { Icon } from "./icon.js";

const ROW = 36;
const GAP = 14; // between columns and beside them, as in the stylesheet

/** `columns` [{id, name, width, num, sort, show(row), title(row)}]; `rows` so far; `more()` is
 *  called near the end while `hasMore`. `sort` {id, down}, `setSort(id)`. `selected` is a row's
 *  id, `pick(row)` a click on it. `marked` a Set of ids with `mark(row)`, or nothing. */
export function List({ columns, rows, more, hasMore, sort, setSort, selected, pick, marked, mark, markAll, label, foot, fresh }) {
  const { box, cursor, show, key, first, last } = useRows({
    count: rows.length, height: ROW,
    act: (name, at) => {
      if (name === "Enter") pick?.(rows[at]);
      else if (name === " " && mark) mark(rows[at]);
      else return false;
      return true;
    },
  });
  useEffect(() => {
    if (hasMore && last >= rows.length - 20) more();
  }, [last, rows.length, hasMore]);
  useEffect(() => show(rows.findIndex((row) => row.id === selected)), [selected]);
  const widths = [mark && "20px", ...columns.map((column) => column.width)].filter(Boolean).join(" ");
  const least = columns.reduce((sum, column) => sum + parseInt(/\d+/.exec(column.width)[0], 10) + GAP, mark ? 20 + 2 * GAP : GAP);
  const setWidths = (node) => {
    node?.style.setProperty("--columns", widths);
    node?.style.setProperty("--least", `${least}px`);
  };
  return html`<div class="list" ref=${setWidths}>
    <div class="list-scroll" ref=${box} role="grid" aria-label=${label} aria-rowcount=${hasMore ? -1 : rows.length + 1} tabindex="0" onKeyDown=${(event) => { if (!selected) key(event); }}>
      <div class="list-head" role="row">
        ${mark && html`<span role="columnheader"><input type="checkbox" aria-label="Select all shown" checked=${rows.length > 0 && marked.size >= rows.length} onChange=${markAll} /></span>`}
        ${columns.map((column) => html`<span key=${column.id} role="columnheader" class=${column.num ? "num" : ""} title=${column.tells}
            aria-sort=${sort?.id === column.id ? (sort.down ? "descending" : "ascending") : undefined}>
          ${column.sort ? html`<button type="button" onClick=${() => setSort(column.id)}>${column.name}${sort?.id === column.id && html`<${Icon} name=${sort.down ? "down" : "up"} />`}</button>` : column.name}</span>`)}
      </div>
      <div class="list-body" role="rowgroup" ref=${(node) => { if (node) node.style.height = `${rows.length * ROW}px`; }}>
        ${rows.slice(first, last).map((row, number) => html`<${Row} key=${row.id} row=${row} at=${first + number} columns=${columns}
          selected=${row.id === selected} isAt=${first + number === cursor} pick=${pick} isMarked=${marked?.has(row.id)} mark=${mark} isFresh=${fresh?.has(row.id)} />`)}
      </div>
    </div>
    ${foot && html`<div class="list-foot">${foot}</div>`}
  </div>`;
}

function Row({ row, at, columns, selected, isAt, pick, isMarked, mark, isFresh }) {
  return html`<div class=${cls("list-row", isFresh && "fresh", isAt && "at")} role="row" aria-rowindex=${at + 2} aria-selected=${selected}
      ref=${(node) => { if (node) node.style.transform = `translateY(${at * ROW}px)`; }} onClick=${() => pick?.(row)}>
    ${mark && html`<span role="gridcell" onClick=${(event) => event.stopPropagation()}><input type="checkbox" aria-label="Select this one" checked=${isMarked} onChange=${() => mark(row)} /></span>`}
    ${columns.map((column) => html`<span key=${column.id} role="gridcell" class=${column.num ? "num" : ""} title=${column.title?.(row)}>${column.show(row)}</span>`)}
  </div>`;
}
