// Beside the editor: the tables with their columns, saved queries, and what ran before.
import { html, useState } from "../../lib/html.js";
import { post, put, remove } from "../../lib/api.js";
import { ago, count, duration, line, utc } from "../../lib/format.js";
import { forget, useAct } from "../../lib/query.js";
import { href } from "../../lib/route.js";
import { may, useSession } from "../../lib/session.js";
import { Icon } from "../../parts/icon.js";
import { Confirm, Dialog, Menu, copy, toast } from "../../parts/pop.js";
import { Problem, Shown } from "../../parts/states.js";

/** Tables of the schema; a click puts a name into the query. */
export function Tables({ query, insert }) {
  const [find, setFind] = useState("");
  const wanted = find.trim().toLowerCase();
  return html`<${Shown} query=${query}>${(tables) => html`
    <input aria-label="Find a column" placeholder="Find a column" value=${find} onInput=${(event) => setFind(event.target.value)} />
    ${tables.map((table, at) => html`<${Table} key=${table.table_name} isFirst=${at === 0} table=${table} wanted=${wanted} insert=${insert} />`)}`}<//>`;
}

function Table({ table, wanted, insert, isFirst }) {
  const columns = table.columns.filter((column) => !wanted || column.name.includes(wanted) || column.comment?.toLowerCase().includes(wanted));
  return html`<details open=${Boolean(wanted) || isFirst} class="sql-table"><summary><code>${table.table_name}</code> <span class="muted small">${columns.length}</span></summary>
    ${table.description && html`<p class="muted small">${table.description}.</p>`}
    <ul>${columns.map((column) => html`<li key=${column.name}><button type="button" class="plain" title=${`Put ${column.name} into the query`} onClick=${() => insert(column.name)}>
      <code>${column.name}</code><span class="muted small">${typeName(column.type)}</span>
      ${column.comment && html`<span class=${/^cost/.test(column.name) ? "told small warn" : "told small muted"}>${column.comment}</span>`}</button></li>`)}</ul>
    ${!columns.length && html`<p class="muted small">No column of this name.</p>`}</details>`;
}

const typeName = (type) => type.toLowerCase().replace(/^struct\(.*\)\[\]$/, "list").replace(/^timestamp.*/, "time").replaceAll("varchar", "text").replace(/^u?bigint$|^integer$/, "integer");

export function Past({ history, open }) {
  if (!history.list.length) return html`<p class="muted small">What you run appears here. It is kept in this browser only.</p>`;
  return html`<ul class="sql-list">${history.list.map((one) => html`<li key=${one.text}><button type="button" class="plain" title=${one.text.slice(0, 1000)} onClick=${() => open({ text: one.text })}>
      <code class="cut">${line(one.text, 120)}</code><span class="muted small" title=${utc(one.at)}>${ago(one.at)}${one.rows !== undefined && ` · ${count(one.rows)} rows · ${duration(one.ms)}`}</span></button></li>`)}</ul>
    <div><button type="button" class="link small" onClick=${history.clear}>Forget all of these</button></div>`;
}

/** The organisation's queries under their names. */
export function SavedList({ query, open, gone }) {
  const canManage = may(useSession(), "manage");
  const [rename, setRename] = useState(null);
  const [drop, setDrop] = useState(null);
  const empty = html`<p class="muted small">Queries that are saved appear here, for everybody in the organisation.${canManage ? " Write one and click Save." : ""}</p>`;
  return html`<${Shown} query=${query} empty=${empty}>${(list) => html`
    <ul class="sql-list">${list.map((one) => html`<li key=${one.id} class="row tight"><button type="button" class="plain grow" title=${one.sql.slice(0, 1000)} onClick=${() => open({ text: one.sql, name: one.name, saved: one.id })}>
      <span class="cut">${one.name}</span><span class="muted small" title=${utc(one.updated_at)}>changed ${ago(one.updated_at)}</span></button>
      <${Menu} label=${`More about ${one.name}`} icon="more" plain>${(close) => html`
        <button type="button" class="choice" onClick=${() => { copy(location.origin + href("sql", [], { saved: one.id }), "Link copied"); close(); }}><${Icon} name="link" /> Copy a link to this</button>
        ${canManage && html`<button type="button" class="choice" onClick=${() => { setRename(one); close(); }}><${Icon} name="edit" /> Rename</button>
          <button type="button" class="choice" onClick=${() => { setDrop(one); close(); }}><${Icon} name="trash" /> Delete</button>`}`}<//></li>`)}</ul>
    ${rename && html`<${SaveAs} title="Rename" name=${rename.name} close=${() => setRename(null)} save=${async (name) => {
      await put(`/v1/helicone-sql/saved-query/${rename.id}`, { name, sql: rename.sql });
      setRename(null);
      query.reload();
    }} />`}
    ${drop && html`<${Drop} one=${drop} close=${() => setDrop(null)} done=${() => { setDrop(null); gone(drop.id); query.reload(); }} />`}`}<//>`;
}

function Drop({ one, close, done }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/helicone-sql/saved-query/${one.id}`);
    forget("sql:saved");
    done();
  });
  return html`<${Confirm} title="Delete this query?" act=${() => run()} close=${close} busy=${act.busy} error=${act.error}>
    <b>${one.name}</b> goes for everybody in the organisation. What it asked about stays.<//>`;
}

/** A name for a query. `save(name)` may throw; its words are shown. */
export function SaveAs({ title, name: given = "", save, close }) {
  const [name, setName] = useState(given);
  const [run, act] = useAct(save);
  return html`<${Dialog} title=${title} close=${close}><form class="form" onSubmit=${(event) => { event.preventDefault(); run(name.trim()); }}>
    <div class="field"><label for="query-name">Name</label><input id="query-name" required maxlength="255" autofocus value=${name} onInput=${(event) => setName(event.target.value)} />
      <span class="hint">Everybody in the organisation sees it under this name.</span></div>
    <${Problem} error=${act.error} />
    <div class="row"><button type="submit" class="primary" disabled=${act.busy || !name.trim()}>Save</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`;
}

/** Save a tab: what is saved already is changed, else it gets a name first. */
export async function saveTab(tab, name) {
  const body = { name, sql: tab.text };
  const found = tab.saved ? await put(`/v1/helicone-sql/saved-query/${tab.saved}`, body) : (await post("/v1/helicone-sql/saved-query", body))[0];
  forget("sql:saved");
  toast("Saved");
  return found;
}
