// Who belongs to the organisation and with which role, and the invitations that are open.
import { html, useState } from "../../lib/html.js";
import { get, patch, post, remove } from "../../lib/api.js";
import { ago, time, utc } from "../../lib/format.js";
import { forget, useAct, useQuery } from "../../lib/query.js";
import { may } from "../../lib/session.js";
import { Confirm, Dialog, toast } from "../../parts/pop.js";
import { Field, Form, Once, Section, Text } from "../../parts/settings.js";
import { Shown } from "../../parts/states.js";

const LOOK_MS = 60_000;
const ROLES = {
  owner: "everything, also making owners and deleting the organisation",
  admin: "settings, keys, deletions and people, but not owners",
  member: "sees all records, and changes prompts, datasets, alerts and the like",
  viewer: "sees all records and changes nothing",
};

export function Members({ session }) {
  const base = `/v1/organization/${session.organization.id}`;
  const members = useQuery("members", (signal) => get(`${base}/members`, { signal }));
  const mayGovern = may(session, "govern");
  const invites = useQuery(mayGovern ? "invites" : null, (signal) => get(`${base}/invites`, { signal }), { every_ms: LOOK_MS });
  const [open, setOpen] = useState(null);
  const close = () => setOpen(null);
  const invited = (told) => { forget("invites"); invites.reload(); setOpen({ kind: "made", told }); };
  const changed = () => { forget("members"); members.reload(); };
  return html`
    <${Section} title="Members" tells=${mayGovern ? null : "An owner or an admin says who belongs here."}
        act=${mayGovern && html`<button type="button" class="primary" onClick=${() => setOpen({ kind: "invite" })}>Invite somebody</button>`}>
      <${Shown} query=${members}>${(rows) => html`<div class="table-box" tabindex="0"><table class="plain">
        <thead><tr><th>Address</th><th>Name</th><th>Role</th><th>Here since</th><th>Signed in</th>${mayGovern && html`<th><span class="visually-hidden">Acts</span></th>`}</tr></thead>
        <tbody>${rows.map((row) => html`<${Member} key=${row.id} row=${row} session=${session} base=${base} mayGovern=${mayGovern} changed=${changed} drop=${() => setOpen({ kind: "remove", row })} />`)}</tbody></table></div>`}<//>
      <details class="small muted"><summary>What the roles may</summary><dl class="facts">${Object.entries(ROLES).map(([role, tells]) => html`<dt>${role}</dt><dd>${tells}</dd>`)}</dl></details>
    <//>
    ${mayGovern && html`<${Invites} base=${base} invites=${invites} />`}
    ${open?.kind === "invite" && html`<${Invite} session=${session} base=${base} close=${close} made=${invited} />`}
    ${open?.kind === "made" && html`<${Once} title=${`The link for ${open.told.email}`} secret=${open.told.url} what="link" close=${close}>
      <p class="muted">Hand it over yourself: nothing is mailed. Whoever opens it sets a password and becomes ${open.told.role} here. It works once, until ${time(open.told.expires_at)}.</p><//>`}
    ${open?.kind === "remove" && html`<${Remove} row=${open.row} session=${session} base=${base} close=${close} changed=${changed} />`}`;
}

/** Whether this person may change that one: an admin manages all but owners. */
const mayChange = (session, row) => session.role === "owner" || row.role !== "owner";
const rolesFor = (session) => Object.keys(ROLES).filter((role) => role !== "owner" || session.role === "owner");

function Member({ row, session, base, mayGovern, changed, drop }) {
  const isSelf = row.id === session.user.id;
  const [run, act] = useAct(async (role) => {
    try {
      await patch(`${base}/members/${row.id}`, { role });
      toast(`${row.email} is ${role} now`);
      if (isSelf) session.reload();
    } catch (error) {
      toast(error.message, "bad");
    }
    changed();
  });
  const fixed = !mayGovern || !mayChange(session, row);
  return html`<tr><td class="cut" title=${row.email}>${row.email} ${isSelf && html`<span class="badge">you</span>`}</td><td class="cut">${row.name || html`<span class="muted">–</span>`}</td>
    <td>${fixed ? html`<span title=${ROLES[row.role]}>${row.role}</span>` : html`<select aria-label=${`Role of ${row.email}`} title=${ROLES[row.role]} disabled=${act.busy} value=${row.role} onChange=${(event) => { const role = event.target.value; event.target.value = row.role; run(role); }}>
      ${rolesFor(session).map((role) => html`<option value=${role}>${role}</option>`)}</select>`}</td>
    <td class="nowrap" title=${utc(row.created_at)}>${time(row.created_at)}</td>
    <td class="nowrap" title=${utc(row.signed_in_at)}>${row.signed_in_at ? ago(row.signed_in_at) : html`<span class="muted">never</span>`}</td>
    ${mayGovern && html`<td class="acts">${!fixed && html`<button type="button" class="plain danger" aria-label=${isSelf ? "Leave the organisation" : `Remove ${row.email}`} onClick=${drop}>${isSelf ? "Leave" : "Remove"}</button>`}</td>`}</tr>`;
}

function Remove({ row, session, base, close, changed }) {
  const isSelf = row.id === session.user.id;
  const [run, act] = useAct(async () => {
    await remove(`${base}/members/${row.id}`);
    close();
    if (isSelf) session.reload();
    else changed();
    toast(`${row.email} does not belong here any more`);
  });
  return html`<${Confirm} title=${isSelf ? "Leave the organisation?" : `Remove ${row.email}?`} verb=${isSelf ? "Leave it" : "Remove"} act=${run} close=${close} busy=${act.busy} error=${act.error}>
    <p>${isSelf ? "Your sessions here end at once. You come back only by an invitation." : "The sessions in this organisation end at once. What was recorded or made stays, and so do keys: revoke those that only this person had."}</p><//>`;
}

function Invite({ session, base, close, made }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("member");
  const [run, act] = useAct(async () => made(await post(`${base}/members`, { email: email.trim(), role })));
  return html`<${Dialog} title="Invite somebody" close=${close}>
    <${Form} act=${act} submit=${run} verb="Make the link" close=${close} isReady=${email.trim() !== ""}>
      <${Text} id="invite-email" type="email" label="Address" hint="With which they will sign in." value=${email} set=${setEmail} required autocomplete="off" autofocus />
      <${Field} id="invite-role" label="Role" hint=${`A ${role}: ${ROLES[role]}.`.replace("A o", "An o").replace("A a", "An a")}>
        <select id="invite-role" value=${role} aria-describedby="invite-role-hint" onChange=${(event) => setRole(event.target.value)}>${rolesFor(session).map((one) => html`<option value=${one}>${one}</option>`)}</select><//>
    <//><//>`;
}

function Invites({ base, invites }) {
  const [asked, setAsked] = useState(null);
  const [run, act] = useAct(async () => {
    await remove(`${base}/invites/${asked.id}`);
    forget("invites");
    invites.reload();
    setAsked(null);
  });
  return html`<${Section} title="Open invitations" act=${html`<button type="button" class="plain" onClick=${invites.reload}>Look again</button>`}>
    <${Shown} query=${invites} empty=${html`<p class="muted">None. An invitation is a link that works once, for seven days; who follows it sets a password and belongs here.</p>`}>${(rows) => html`<div class="table-box" tabindex="0"><table class="plain">
      <thead><tr><th>Address</th><th>Role</th><th>Created</th><th>Works until</th><th><span class="visually-hidden">Acts</span></th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.id}><td class="cut" title=${row.email}>${row.email}</td><td>${row.role}</td>
        <td class="nowrap" title=${utc(row.created_at)}>${ago(row.created_at)}</td><td class="nowrap" title=${utc(row.expires_at)}>${time(row.expires_at)}</td>
        <td class="acts"><button type="button" class="plain danger" aria-label=${`Withdraw the invitation of ${row.email}`} onClick=${() => setAsked(row)}>Withdraw</button></td></tr>`)}</tbody></table></div>`}<//>
    ${asked && html`<${Confirm} title=${`Withdraw the invitation of ${asked.email}?`} verb="Withdraw it" act=${run} close=${() => setAsked(null)} busy=${act.busy} error=${act.error}><p>The link stops working. You can invite them again.</p><//>`}<//>`;
}
