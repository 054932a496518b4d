// One's own account: the password, and where one is signed in.
import { html, useState } from "../../lib/html.js";
import { get, post, remove } from "../../lib/api.js";
import { ago, time, utc } from "../../lib/format.js";
import { useAct, useQuery } from "../../lib/query.js";
import { toast } from "../../parts/pop.js";
import { Form, Section, Text } from "../../parts/settings.js";
import { Shown } from "../../parts/states.js";

export function Password({ user }) {
  const [form, setForm] = useState({ current: "", wanted: "", again: "" });
  const set = (name) => (value) => setForm((now) => ({ ...now, [name]: value }));
  const isSame = form.wanted === form.again;
  const [run, act] = useAct(async () => {
    await post("/v1/auth/password", { current_password: form.current, password: form.wanted });
    setForm({ current: "", wanted: "", again: "" });
    toast("The password is changed. Your other sessions have ended.");
  });
  return html`<${Section} title="Your password">
    <details><summary>Change it</summary>
    <${Form} act=${act} submit=${run} verb="Change the password" isReady=${Boolean(form.current && form.wanted && form.again && isSame)}>
      <input type="email" autocomplete="username" value=${user.email} readonly hidden />
      <${Text} id="pw-now" type="password" label="The one you have" value=${form.current} set=${set("current")} autocomplete="current-password" required />
      <${Text} id="pw-new" type="password" label="The new one" hint="At least 10 characters. All your other sessions end when it is changed." value=${form.wanted} set=${set("wanted")} autocomplete="new-password" required minlength="10" />
      <${Text} id="pw-again" type="password" label="The new one again" value=${form.again} set=${set("again")} autocomplete="new-password" required aria-invalid=${form.again !== "" && !isSame ? "true" : undefined} hint=${form.again !== "" && !isSame ? "It is not the same." : ""} /><//></details>
    <p class="muted small">Forgotten? On the machine itself <code>helicone-appliance users reset ${user.email}</code> prints a link to set another one.</p><//>`;
}

export function Sessions() {
  const sessions = useQuery("own-sessions", (signal) => get("/v1/auth/sessions", { signal }));
  const [end, act] = useAct(async (row) => {
    try {
      await remove(`/v1/auth/sessions/${row.id}`);
      if (row.current) location.assign("/sign-in");
      else sessions.reload();
    } catch (error) {
      toast(error.message, "bad");
    }
  });
  return html`<${Section} title="Where you are signed in" tells="A session ends by itself after seven days without use.">
    <${Shown} query=${sessions}>${(rows) => html`<div class="table-box" tabindex="0"><table class="plain">
      <thead><tr><th>Browser</th><th>Address</th><th>Seen</th><th>Since</th><th><span class="visually-hidden">Acts</span></th></tr></thead>
      <tbody>${[...rows].sort((a, b) => b.current - a.current).map((row) => html`<tr key=${row.id}>
        <td class="cut" title=${row.user_agent}>${browserOf(row.user_agent)} ${row.current && html`<span class="badge good">this one</span>`}</td>
        <td>${row.address || html`<span class="muted">–</span>`}</td>
        <td class="nowrap" title=${utc(row.seen_at)}>${ago(row.seen_at)}</td><td class="nowrap" title=${`${utc(row.created_at)}; ends ${utc(row.expires_at)} at the latest`}>${time(row.created_at)}</td>
        <td class="acts"><button type="button" class="plain danger" aria-label=${`End the session of ${browserOf(row.user_agent)}${row.current ? ", this one" : ""}`} disabled=${act.busy} onClick=${() => end(row)}>End</button></td></tr>`)}</tbody></table></div>`}<//><//>`;
}

/** The browser and its system, as far as they tell. */
function browserOf(agent) {
  const browser = [[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"], [/curl/, "curl"]].find(([known]) => known.test(agent))?.[1];
  const system = [[/Windows/, "Windows"], [/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Mac OS/, "macOS"], [/Linux/, "Linux"]].find(([known]) => known.test(agent))?.[1];
  return [browser ?? (agent || "unknown").slice(0, 40), system].filter(Boolean).join(" on ");
}
