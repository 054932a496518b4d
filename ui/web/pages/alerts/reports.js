// Reports that come by themselves: a day, a week or a month of calls in a few figures.
import { html, useState } from "../../lib/html.js";
import { patch, post, remove } from "../../lib/api.js";
import { time, utc } from "../../lib/format.js";
import { forget, useAct } from "../../lib/query.js";
import { may, useSession } from "../../lib/session.js";
import { Channels, ChannelsShown, channelsOf, channelsText } from "../../parts/channels.js";
import { Field, FormDialog } from "../../parts/form.js";
import { Icon } from "../../parts/icon.js";
import { Confirm, toast } from "../../parts/pop.js";
import { Empty, Shown } from "../../parts/states.js";
import { Table } from "../../parts/table.js";

const FREQUENCIES = { weekly: "each Monday", daily: "each day", monthly: "on the first of each month" };

/** `reports` is the query of all of them. */
export function Reports({ reports }) {
  const session = useSession();
  const [edited, setEdited] = useState(null);
  const [dropped, setDropped] = useState(null);
  const can = may(session, "manage");
  const done = (words) => { forget("reports"); reports.reload(); setEdited(null); setDropped(null); toast(words); };
  const add = can && html`<button type="button" onClick=${() => setEdited({})}><${Icon} name="plus" /> New report</button>`;
  return html`<section class="part"><header><h2>Reports</h2>${reports.data?.length > 0 && add}</header>
    <${Shown} query=${reports} empty=${html`<${Empty} title="No reports yet"><div class="stack"><p>A report sums up calls, errors, costs and users, and is sent each day, week or month.</p><p>${add || "Members of the organisation make reports."}</p></div><//>`}>
      ${(rows) => html`<${Table} label="Reports" columns=${columnsOf(can, setEdited, setDropped, done)} rows=${rows} keyOf=${(row) => row.id} />`}<//>
    ${edited && html`<${ReportForm} report=${edited} close=${() => setEdited(null)} done=${done} />`}
    ${dropped && html`<${Drop} report=${dropped} close=${() => setDropped(null)} done=${done} />`}</section>`;
}

const columnsOf = (can, edit, drop, done) => [
  { id: "state", name: "State", show: (row) => html`<span class=${`badge ${row.is_active ? "good" : ""}`}>${row.is_active ? "active" : "paused"}</span>` },
  { id: "name", name: "Name", show: (row) => html`<b>${row.name}</b>` },
  { id: "when", name: "Sent", show: (row) => FREQUENCIES[row.frequency] ?? row.frequency, title: () => "At 10:00 in the server's time zone" },
  { id: "to", name: "To", show: (row) => html`<${ChannelsShown} of=${row} />` },
  { id: "changed", name: "Changed", show: (row) => html`<span class="nowrap">${time(row.updated_at)}</span>`, title: (row) => utc(row.updated_at) },
  ...(can ? [{ id: "acts", name: "", tells: "Send, change, pause or delete", show: (row) => html`<${Acts} report=${row} edit=${edit} drop=${drop} done=${done} />` }] : []),
];

function Acts({ report, edit, drop, done }) {
  const [run, act] = useAct(async (todo) => {
    try { done(await todo()); } catch (error) { toast(error.message, "bad"); }
  });
  const send = async () => {
    const told = await post(`/v1/reports/${report.id}/test`);
    return `${told.messages} ${told.messages === 1 ? "message is" : "messages are"} on the way`;
  };
  const pause = async () => {
    await patch(`/v1/reports/${report.id}`, { is_active: !report.is_active });
    return report.is_active ? "Paused" : "It is sent again";
  };
  const verb = report.is_active ? "Pause" : "Go on";
  return html`<div class="acts">
    <button type="button" disabled=${act.busy} title="Make it for the time up to now, and send it to everybody on its list" onClick=${() => run(send)}>Send now</button>
    <button type="button" class="plain icon-only" aria-label=${`${verb} with ${report.name}`} title=${verb} disabled=${act.busy} onClick=${() => run(pause)}><${Icon} name=${report.is_active ? "pause" : "play"} /></button>
    <button type="button" class="plain icon-only" aria-label=${`Change ${report.name}`} title="Change" onClick=${() => edit(report)}><${Icon} name="edit" /></button>
    <button type="button" class="plain icon-only" aria-label=${`Delete ${report.name}`} title="Delete" onClick=${() => drop(report)}><${Icon} name="trash" /></button></div>`;
}

function ReportForm({ report, close, done }) {
  const [name, setName] = useState(report.name ?? "Weekly report");
  const [frequency, setFrequency] = useState(report.frequency ?? "weekly");
  const [channels, setChannels] = useState(() => channelsText(report));
  const [run, act] = useAct(async () => {
    const body = { name, frequency, ...channelsOf(channels) };
    if (report.id) await patch(`/v1/reports/${report.id}`, body);
    else await post("/v1/reports", body);
    done(report.id ? "Changed" : "Created");
  });
  return html`<${FormDialog} title=${report.id ? "Change the report" : "New report"} verb=${report.id ? "Change" : "Make the report"} close=${close} submit=${run} act=${act}>
    <${Field} id="report-name" label="Name"><input id="report-name" required maxlength="200" value=${name} onInput=${(event) => setName(event.target.value)} /><//>
    <${Field} id="report-frequency" label="Sent" hint="At 10:00 in the server's time zone."><select id="report-frequency" value=${frequency} onChange=${(event) => setFrequency(event.target.value)}>
      ${Object.entries(FREQUENCIES).map(([id, words]) => html`<option value=${id}>${words}</option>`)}</select><//>
    <${Channels} value=${channels} change=${setChannels} /><//>`;
}

function Drop({ report, close, done }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/reports/${report.id}`);
    done("Deleted");
  });
  return html`<${Confirm} title=${`Delete “${report.name}”`} close=${close} act=${() => run()} busy=${act.busy} error=${act.error}>Nobody gets it any more.<//>`;
}
