// The organisation: its name, who belongs to it, invitations; other organisations; one's own account.
import { html, useState } from "../lib/html.js";
import { get, patch, post } from "../lib/api.js";
import { time, utc } from "../lib/format.js";
import { forget, useAct, useQuery } from "../lib/query.js";
import { may, useSession } from "../lib/session.js";
import { CodeBox, Dialog, toast } from "../parts/pop.js";
import { Form, Section, Text } from "../parts/settings.js";
import { Shown } from "../parts/states.js";
import { Password, Sessions } from "./organization/account.js";
import { Members } from "./organization/members.js";

export default function Organization() {
  const session = useSession();
  const { user } = session;
  return html`<div class="page">
    <div class="page-head"><h1>Organisation</h1></div>
    <${About} session=${session} />
    <${Playground} session=${session} />
    ${session.open && html`<${Nobody} />`}
    ${!session.open && !user && html`<p class="notice">You came with a key, which belongs to no person: members, invitations and an account are there for those who sign in with a password.</p>`}
    ${user && html`<${Members} key=${session.organization.id} session=${session} />
      <${Organizations} session=${session} />
      <${Password} user=${user} />
      <${Sessions} />`}
  </div>`;
}

const Nobody = () => html`<${Section} title="People" tells="Calls without a key are answered here, so nobody has to sign in and there are no members to list.">
  <p>To have people with roles, invitations and passwords, start the appliance with <code>--access keys</code> and make the first owner. From then on calls need a key, and these pages a sign-in.</p>
  <${CodeBox} text=${"helicone-appliance serve --access keys\nhelicone-appliance users create you@example.com --role owner"} /><//>`;

function About({ session }) {
  const { organization } = session;
  const [isOpen, setOpen] = useState(false);
  const change = may(session, "govern") && html`<button type="button" onClick=${() => setOpen(true)}>Rename</button>`;
  return html`<${Section} title=${organization.name} act=${change}>
    <dl class="facts">
      <dt>Id</dt><dd><code>${organization.id}</code></dd>
      <dt title="Where its records are kept. It cannot be changed">Region</dt><dd>${organization.region}</dd>
      <dt>Created</dt><dd title=${utc(organization.created_at)}>${time(organization.created_at)}</dd>
      ${session.user && html`<dt>You are</dt><dd>${session.user.name && `${session.user.name}, `}${session.user.email} <span class="badge accent">${session.role}</span></dd>`}
    </dl>
    ${may(session, "configure") && html`<p class="muted small"><a href="/health/deletions">Delete records for good</a>: of a user, a session, a span of time, or all of it.</p>`}
    ${isOpen && html`<${Name} title="Rename the organisation" verb="Rename" value=${organization.name} close=${() => setOpen(false)}
      act=${async (name) => { await patch(`/v1/organization/${organization.id}`, { name }); forget("organizations"); session.reload(); }} />`}<//>`;
}

const RECORDED = "/v1/playground/requests-through-helicone";

/** Whether what is said in the playground is recorded, where a call does not say. */
function Playground({ session }) {
  const recorded = useQuery(`playground.recorded:${session.organization.id}`, (signal) => get(RECORDED, { signal }));
  const [wanted, setWanted] = useState(null); // what was chosen here, before it is read again
  const [set, act] = useAct(async (is) => {
    setWanted(is);
    try {
      await post(RECORDED, { requestsThroughHelicone: is });
    } catch (error) {
      setWanted(null);
      throw error;
    }
    forget("playground.recorded");
    toast(is ? "What is said in the playground is recorded" : "What is said in the playground is not recorded");
  });
  return html`<${Section} title="Playground">
    <${Shown} query=${recorded}>${(is) => html`<label class="option"><input type="checkbox" checked=${wanted ?? is} disabled=${act.busy || !may(session, "configure")} onChange=${(event) => set(event.target.checked)} />
      <span class="grow">What is said in the playground is recorded <span class="muted small">Otherwise a call there is on record with its tokens, cost and times, and without its bodies.</span></span></label>`}<//>
    ${act.error && html`<p class="notice bad" role="alert">${act.error.message}</p>`}<//>`;
}

/** A dialog that asks for a name. */
function Name({ title, verb, value = "", hint, act: done, close }) {
  const [name, setName] = useState(value);
  const [run, act] = useAct(async () => {
    await done(name.trim());
    close();
  });
  return html`<${Dialog} title=${title} close=${close}><${Form} act=${act} submit=${run} verb=${verb} close=${close} isReady=${name.trim() !== "" && name.trim() !== value}>
    <${Text} id="org-name" label="Name" hint=${hint} value=${name} set=${setName} required maxlength="200" autocomplete="off" autofocus /><//><//>`;
}

/** Those that one belongs to; the page works in one at a time. */
function Organizations({ session }) {
  const mine = useQuery("organizations", (signal) => get("/v1/organization", { signal }));
  const [isOpen, setOpen] = useState(false);
  const [move, moving] = useAct(async (row) => {
    try {
      await post("/v1/auth/organization", { organization_id: row.id });
      forget();
      session.reload();
      toast(`You work in ${row.name} now`);
    } catch (error) {
      toast(error.message, "bad");
    }
  });
  const make = async (name) => {
    const row = await post("/v1/organization/create", { name });
    forget("organizations");
    mine.reload();
    toast(`${row.name} is there: you own it`);
  };
  return html`<${Section} title="Your organisations" tells="Their records, keys and people are apart. These pages show one at a time."
      act=${may(session, "govern") && html`<button type="button" onClick=${() => setOpen(true)}>New organisation</button>`}>
    <${Shown} query=${mine}>${(rows) => html`<div class="table-box" tabindex="0"><table class="plain">
      <thead><tr><th>Name</th><th>You are</th><th>Region</th><th>Created</th><th><span class="visually-hidden">Acts</span></th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.id}><td class="cut" title=${row.id}>${row.name}</td><td>${row.role}</td><td>${row.region}</td>
        <td class="nowrap" title=${utc(row.created_at)}>${time(row.created_at)}</td>
        <td class="acts">${row.id === session.organization.id ? html`<span class="badge good">shown now</span>` : html`<button type="button" disabled=${moving.busy} onClick=${() => move(row)}>Work in it</button>`}</td></tr>`)}</tbody></table></div>`}<//>
    ${isOpen && html`<${Name} title="New organisation" verb="Make it" hint="You become its owner." act=${make} close=${() => setOpen(false)} />`}<//>`;
}
