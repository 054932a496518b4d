// SQL: questions of one's own to everything that was recorded; a table or a chart as the answer.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { useKey } from "../lib/keys.js";
import { useQuery } from "../lib/query.js";
import { setParams } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { Icon } from "../parts/icon.js";
import { toast } from "../parts/pop.js";
import { Problem } from "../parts/states.js";
import { Editor } from "./sql/editor.js";
import { EXAMPLES } from "./sql/examples.js";
import { TABS_MAX, useHistory, useTabs } from "./sql/keep.js";
import { Failed, Results, Running } from "./sql/results.js";
import { Past, SaveAs, SavedList, Tables, saveTab } from "./sql/side.js";

/** Runs of each tab: {control, since} while it runs, then {result, sql} or {error}. */
function useRuns(history) {
  const [runs, setRuns] = useState({});
  const latest = useRef(runs);
  latest.current = runs;
  const set = (id, run) => setRuns((now) => ({ ...now, [id]: run }));
  useEffect(() => () => Object.values(latest.current).forEach((run) => run.control?.abort()), []);
  const run = async (id, sql) => {
    latest.current[id]?.control?.abort();
    const control = new AbortController();
    const since = Date.now();
    set(id, { control, since });
    try {
      const result = await post("/v1/helicone-sql/execute", { sql }, { signal: control.signal });
      history.add({ text: sql, at: since, rows: result.rowCount, ms: result.elapsedMilliseconds });
      if (!control.signal.aborted) set(id, { result, sql });
    } catch (error) {
      if (error.name !== "AbortError") set(id, { error, sql });
      else if (latest.current[id]?.control === control) set(id, { cancelled_s: (Date.now() - since) / 1000 });
    }
  };
  return { runs, run, cancel: (id) => latest.current[id]?.control?.abort() };
}

export default function Sql({ params }) {
  const session = useSession();
  const org = session.organization?.id ?? "";
  const schema = useQuery("sql:schema", (signal) => get("/v1/helicone-sql/schema", { signal }));
  const saved = useQuery("sql:saved", (signal) => get("/v1/helicone-sql/saved-queries", { signal }));
  const tabs = useTabs(org);
  const history = useHistory(org);
  const { runs, run, cancel } = useRuns(history);
  const { tab } = tabs;
  const [naming, setNaming] = useState(false);
  const [problem, setProblem] = useState(null);
  useEffect(() => setProblem(null), [tab.id, tab.text]);
  const open = (made) => {
    if (!tabs.hasRoom && !tabs.tabs.some((one) => made.saved && one.saved === made.saved)) toast(`${TABS_MAX} tabs are open: close one first`, "bad");
    else tabs.open(made);
  };
  useOpened(params, saved.data, open);
  const start = (part = "") => {
    const sql = (part.trim() || tab.text).trim();
    if (sql) run(tab.id, sql);
  };
  const save = async (name) => {
    try {
      const made = await saveTab(tab, name);
      tabs.change(tab.id, { saved: made.id, name: made.name });
      setNaming(false);
      saved.reload();
    } catch (error) {
      if (naming) throw error;
      setProblem(error);
    }
  };
  const stored = tab.saved && saved.data?.find((one) => one.id === tab.saved);
  const saveNow = () => {
    if (!tab.text.trim() || !may(session, "manage")) return;
    if (stored) save(stored.name);
    else setNaming(true);
  };
  useKey("Mod+Enter", () => start(), "Run the query", { always: true });
  useKey("Mod+s", () => saveNow(), "Save the query", { always: true });
  const insert = (name) => {
    const area = document.querySelector(".sql-editor textarea");
    area.focus();
    if (!document.execCommand("insertText", false, name)) tabs.change(tab.id, { text: `${tab.text}${name}` });
  };
  const one = runs[tab.id];
  return html`<div class="page full sql-page">
    <div class="page-head"><h1>SQL</h1>
      <button type="button" class="sql-side-button" aria-pressed=${params.side === "1"} onClick=${() => setParams({ side: params.side === "1" ? undefined : "1" })}><${Icon} name="columns" /> Tables and saved</button></div>
    <div class="sql-layout">
      <${Side} schema=${schema} saved=${saved} history=${history} insert=${insert} open=${open} params=${params} gone=${tabs.forgetSaved} />
      <div class="sql-main">
        <${TabBar} tabs=${tabs} runs=${runs} cancel=${cancel} savedList=${saved.data} />
        <${Editor} key=${tab.id} text=${tab.text} change=${(text) => tabs.change(tab.id, { text })} run=${start} tables=${schema.data ?? []} />
        <div class="row">
          <button type="button" class="primary" disabled=${!tab.text.trim() || Boolean(one?.control)} title="Runs what is selected, or all of it" onClick=${() => start()}><${Icon} name="play" /> Run</button>
          ${may(session, "manage") && html`<button type="button" disabled=${!tab.text.trim() || stored?.sql === tab.text} title="Saved queries are there for everybody in the organisation" onClick=${saveNow}><${Icon} name="star" /> Save</button>`}
          <span class="muted small"><kbd>Ctrl</kbd> <kbd>Enter</kbd> runs · <kbd>Ctrl</kbd> <kbd>Space</kbd> completes</span></div>
        <${Problem} error=${problem} />
        ${one?.control ? html`<${Running} since=${one.since} cancel=${() => cancel(tab.id)} />`
          : one?.error ? html`<${Failed} error=${one.error} />`
          : one?.result ? html`<${Results} key=${tab.id} result=${one.result} sql=${one.sql} view=${params.view} comments=${commentsOf(schema.data)} />`
          : one?.cancelled_s !== undefined ? html`<p class="notice" role="status">Cancelled after ${one.cancelled_s.toFixed(1)} s. The server has stopped it.</p>`
          : html`<${First} open=${open} />`}
      </div>
    </div>
    ${naming && html`<${SaveAs} title="Save this query" name=${/^Query \d+$/.test(tab.name) ? "" : tab.name} save=${save} close=${() => setNaming(false)} />`}
  </div>`;
}

/** What the address asks for: a saved query by its id, or a query that a link brings along. */
function useOpened(params, list, open) {
  useEffect(() => {
    if (!params.q) return;
    open({ text: params.q });
    setParams({ q: undefined });
  }, [params.q]);
  useEffect(() => {
    if (!params.saved || !list) return;
    const found = list.find((one) => one.id === params.saved);
    if (found) open({ text: found.sql, name: found.name, saved: found.id });
    else toast("There is no saved query of this link any more", "bad");
    setParams({ saved: undefined });
  }, [params.saved, Boolean(list)]);
}

/** What columns are; where tables have one of the same name, the first table's. */
const commentsOf = (tables) => Object.fromEntries([...(tables ?? [])].reverse().flatMap((table) => table.columns.filter((column) => column.comment).map((column) => [column.name, column.comment])));

const SIDES = [["tables", "Tables"], ["saved", "Saved"], ["past", "History"]];

function Side({ schema, saved, history, insert, open, params, gone }) {
  const shown = SIDES.some(([id]) => id === params.list) ? params.list : "tables";
  return html`<aside class=${`sql-side card${params.side === "1" ? " open" : ""}`} aria-label="Tables, saved queries and history">
    <div class="tabs" role="tablist">${SIDES.map(([id, name]) => html`<button type="button" role="tab" aria-selected=${id === shown} onClick=${() => setParams({ list: id === "tables" ? undefined : id })}>${name}</button>`)}</div>
    <div class="sql-side-body stack">
      ${shown === "tables" && html`<${Tables} query=${schema} insert=${insert} />`}
      ${shown === "saved" && html`<${SavedList} query=${saved} open=${open} gone=${gone} />`}
      ${shown === "past" && html`<${Past} history=${history} open=${open} />`}</div></aside>`;
}

function TabBar({ tabs, runs, cancel, savedList }) {
  const isChanged = (one) => one.saved && savedList && savedList.find((other) => other.id === one.saved)?.sql !== one.text;
  return html`<div class="sql-tabs">${tabs.tabs.map((one) => html`<span key=${one.id} class="sql-tab" data-open=${one.id === tabs.tab.id}>
      <button type="button" class="plain" aria-pressed=${one.id === tabs.tab.id} title=${isChanged(one) ? `${one.name}: changed since it was saved` : one.name} onClick=${() => tabs.choose(one.id)}>
        ${runs[one.id]?.control && html`<span class="badge accent">runs</span>`}<span class="cut">${one.name}${isChanged(one) ? " •" : ""}</span></button>
      <button type="button" class="plain icon-only" aria-label=${`Close ${one.name}`} onClick=${() => { cancel(one.id); tabs.close(one.id); }}><${Icon} name="close" /></button></span>`)}
    <button type="button" class="plain icon-only" aria-label="New tab" title=${tabs.isFull ? `At most ${TABS_MAX} tabs` : "New tab"} disabled=${tabs.isFull} onClick=${() => tabs.open({})}><${Icon} name="plus" /></button></div>`;
}

const First = ({ open }) => html`<div class="stack"><p class="muted">Ask anything of what was recorded, in DuckDB's SQL. Times are UTC. Begin with one of these:</p>
  <div class="row">${EXAMPLES.map(([name, text]) => html`<button type="button" key=${name} title=${text} onClick=${() => open({ text, name })}>${name}</button>`)}</div></div>`;
