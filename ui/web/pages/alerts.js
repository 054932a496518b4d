// Alerts: what is watched and how it stands, what has happened, and reports that come by themselves.
import { html, useState } from "../lib/html.js";
import { get, patch, remove } from "../lib/api.js";
import { forget, useAct, useQuery } from "../lib/query.js";
import { may, useSession } from "../lib/session.js";
import { ChannelsShown, Warnings } from "../parts/channels.js";
import { Icon } from "../parts/icon.js";
import { Confirm, toast } from "../parts/pop.js";
import { Empty, Loading, Problem } from "../parts/states.js";
import { Table, useSteady } from "../parts/table.js";
import { AlertForm } from "./alerts/form.js";
import { History } from "./alerts/history.js";
import { Reports } from "./alerts/reports.js";
import { inWords } from "./alerts/words.js";

const FRESH_MS = 15_000;
const HISTORY_ROWS = 20;

export default function Alerts({ params }) {
  const session = useSession();
  const page = Math.max(0, Number.parseInt(params.page, 10) || 0);
  const known = useSteady(useQuery(`alerts:${page}`, (signal) => get(`/v1/alert/query?historyPage=${page}&historyPageSize=${HISTORY_ROWS}`, { signal }), { every_ms: FRESH_MS }), "alerts");
  const reports = useQuery("reports", (signal) => get("/v1/reports", { signal }));
  const [edited, setEdited] = useState(null);
  const [dropped, setDropped] = useState(null);
  const done = (words) => { forget("alerts"); known.reload(); setEdited(null); setDropped(null); if (words) toast(words); };
  const can = may(session, "manage");
  const add = can && html`<button type="button" class="primary" onClick=${() => setEdited({})}><${Icon} name="plus" /> New alert</button>`;
  const alerts = known.data?.alerts ?? [];
  return html`<div class="page">
    <div class="page-head"><h1>Alerts</h1>${alerts.length > 0 && add}</div>
    <${Problem} error=${known.error} again=${known.reload} />
    <${Warnings} of=${[...alerts, ...(reports.data ?? [])]} />
    ${!known.data ? !known.error && html`<${Loading} />` : !alerts.length ? html`<${Nothing} add=${add} />`
      : html`<${Table} label="Alerts" columns=${columnsOf(can, setEdited, setDropped, done)} rows=${alerts} keyOf=${(row) => row.id} />
        <${History} alerts=${alerts} rows=${known.data.history} total=${known.data.historyTotalCount} page=${page} size=${HISTORY_ROWS} />`}
    <${Reports} reports=${reports} />
    ${edited && html`<${AlertForm} alert=${edited} close=${() => setEdited(null)} done=${done} />`}
    ${dropped && html`<${Drop} alert=${dropped} close=${() => setDropped(null)} done=${done} />`}
  </div>`;
}

const Nothing = ({ add }) => html`<${Empty} title="No alerts yet"><div class="stack">
  <p>An alert looks at the requests every minute, and tells you when errors, costs, latency or tokens reach a threshold, and again when it is over.</p>
  <p>${add || "Members of the organisation make alerts."}</p></div><//>`;

const STATES = { paused: ["", "paused", "It is not looked at"], triggered: ["bad", "triggered", "The threshold is reached now"], resolved: ["good", "quiet", "Below the threshold"] };

function State({ of }) {
  const [tone, name, tells] = STATES[of.is_active ? of.status : "paused"];
  return html`<span class=${`badge ${tone}`} title=${tells}>${name}</span>`;
}

const columnsOf = (can, edit, drop, done) => [
  { id: "state", name: "State", show: (row) => html`<${State} of=${row} />` },
  { id: "name", name: "Name", show: (row) => html`<b>${row.name}</b>` },
  { id: "what", name: "Tells when", wide: true, show: inWords },
  { id: "to", name: "To", show: (row) => html`<${ChannelsShown} of=${row} />` },
  ...(can ? [{ id: "acts", name: "", tells: "Change, pause or delete", show: (row) => html`<div class="acts">
    <${Pause} alert=${row} done=${done} />
    <button type="button" class="plain icon-only" aria-label=${`Change ${row.name}`} title="Change" onClick=${() => edit(row)}><${Icon} name="edit" /></button>
    <button type="button" class="plain icon-only" aria-label=${`Delete ${row.name}`} title="Delete" onClick=${() => drop(row)}><${Icon} name="trash" /></button></div>` }] : []),
];

function Pause({ alert, done }) {
  const [run, act] = useAct(async () => {
    try {
      await patch(`/v1/alert/${alert.id}`, { is_active: !alert.is_active });
      done(alert.is_active ? "Paused" : "It is watched again");
    } catch (error) { toast(error.message, "bad"); }
  });
  const verb = alert.is_active ? "Pause" : "Go on";
  return html`<button type="button" class="plain icon-only" aria-label=${`${verb} with ${alert.name}`} title=${verb} disabled=${act.busy} onClick=${() => run()}><${Icon} name=${alert.is_active ? "pause" : "play"} /></button>`;
}

function Drop({ alert, close, done }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/alert/${alert.id}`);
    done("Deleted");
  });
  return html`<${Confirm} title=${`Delete “${alert.name}”`} close=${close} act=${() => run()} busy=${act.busy} error=${act.error}>
    Its history goes with it. To have it silent for a while, pause it.<//>`;
}
