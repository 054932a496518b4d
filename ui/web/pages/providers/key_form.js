// Storing a provider's key, changing its settings, entering its secret anew.
import { html, useState } from "../../lib/html.js";
import { get, patch, post } from "../../lib/api.js";
import { useAct, useQuery } from "../../lib/query.js";
import { Dialog, toast } from "../../parts/pop.js";
import { Field, Form, Text } from "../../parts/settings.js";

/** What can be said of a key beside its secret, under the API's names. */
const SETTINGS = {
  region: { name: "Region", hint: "Such as us-east-1, or eu." },
  crossRegion: { name: "The provider may answer from another region of the same part of the world", isFlag: true },
  projectId: { name: "Project", hint: "The id of the project at Google." },
  resourceName: { name: "Resource", hint: "The first part of your address at openai.azure.com." },
  deploymentName: { name: "Deployment", hint: "Where it is not called as the model is." },
  apiVersion: { name: "API version", hint: "Such as 2024-10-21." },
  heliconeModelId: { name: "For this model alone", hint: "A model's name; the key then serves no other." },
};
const USUAL = { bedrock: ["region", "crossRegion"], vertex: ["projectId", "region", "crossRegion"], azure: ["resourceName", "deploymentName", "apiVersion"] };
const NAMES = { aws: "bedrock", "aws-bedrock": "bedrock", "azure-openai": "azure" };
const idOf = (provider) => NAMES[provider.trim().toLowerCase()] ?? provider.trim().toLowerCase();

export function AddKey({ close, changed }) {
  const known = useQuery("models", (signal) => get("/v1/public/model-registry/models", { signal }));
  const [form, setForm] = useState({ provider: "", name: "", url: "", byok: true, config: {}, secret: "", second: "" });
  const set = (patched) => setForm((now) => ({ ...now, ...patched }));
  const [run, act] = useAct(async () => {
    const row = await post("/v1/api-keys/provider-key", {
      providerName: form.provider.trim(), providerKeyName: form.name.trim(), byokEnabled: form.byok,
      base_url: form.url.trim(), config: told(form.config), ...secretOf(form),
    });
    changed();
    toast(`${row.provider_key_name} is stored`);
    close();
  });
  return html`<${Dialog} title="Store a provider's key" close=${close}>
    <${Form} act=${act} submit=${run} verb="Store it" close=${close} isReady=${Boolean(form.provider.trim() && form.secret.trim())}>
      <${Text} id="pk-provider" label="Provider" hint=${html`As the gateway calls it: openai, anthropic, bedrock … All of them: <code>helicone-appliance providers</code>`} value=${form.provider} set=${(provider) => set({ provider })} list="pk-providers" required autocomplete="off" autofocus />
      <datalist id="pk-providers">${(known.data?.filters?.providers ?? []).map((id) => html`<option value=${id} />`)}</datalist>
      <${Secret} provider=${form.provider} form=${form} set=${set} />
      <${Text} id="pk-name" label="Name" hint="To keep several of one provider. One of the same name is replaced." value=${form.name} set=${(name) => set({ name })} autocomplete="off" maxlength="200" />
      <${Place} form=${form} set=${set} provider=${form.provider} />
    <//><//>`;
}

export function EditKey({ row, close, changed }) {
  const [form, setForm] = useState({ name: row.provider_key_name, url: row.base_url, byok: row.byok_enabled, config: { ...row.config }, secret: "", second: "" });
  const set = (patched) => setForm((now) => ({ ...now, ...patched }));
  const resource = (form.config.resourceName ?? "").trim() !== (row.config.resourceName ?? "");
  const address = form.url.trim() !== row.base_url;
  const config = JSON.stringify(told(form.config)) !== JSON.stringify(row.config);
  const [run, act] = useAct(async () => {
    // An address that is not sent along with settings is made anew from the resource.
    const url = address || (config && !resource) ? { base_url: form.url.trim() } : {};
    await patch(`/v1/api-keys/provider-key/${row.id}`, {
      providerKeyName: form.name.trim(), byokEnabled: form.byok, ...url, ...(config ? { config: told(form.config) } : {}), ...(form.secret.trim() ? secretOf(form) : {}),
    });
    changed();
    close();
  });
  return html`<${Dialog} title=${`Change ${row.provider_key_name}`} close=${close}>
    <${Form} act=${act} submit=${run} verb="Save" close=${close} isReady=${form.name.trim() !== ""}>
      <${Text} id="pk-name" label="Name" value=${form.name} set=${(name) => set({ name })} required autocomplete="off" maxlength="200" />
      <${Place} form=${form} set=${set} provider=${row.provider_name} />
      ${(resource || address) && html`<p class="notice warn">The secret was entered for the old address and is not sent to another one: enter it here as well, or the key is out of use until it is entered again.</p>
        <${Secret} provider=${row.provider_name} form=${form} set=${set} isOptional />`}
    <//><//>`;
}

export function RotateKey({ row, close, changed }) {
  const [form, setForm] = useState({ secret: "", second: "" });
  const set = (patched) => setForm((now) => ({ ...now, ...patched }));
  const [run, act] = useAct(async () => {
    await patch(`/v1/api-keys/provider-key/${row.id}`, secretOf(form));
    changed();
    toast(`${row.provider_key_name} has its new secret`);
    close();
  });
  return html`<${Dialog} title=${`Rotate ${row.provider_key_name}`} close=${close}>
    <${Form} act=${act} submit=${run} verb="Put it in the old one's place" close=${close} isReady=${form.secret.trim() !== ""}>
      <p class="muted">The next call is made with the new secret. Settings and proxy keys stay. Revoke the old one with ${row.provider_name} afterwards.</p>
      <${Secret} provider=${row.provider_name} form=${form} set=${set} /><//><//>`;
}

/** The secret: one line; of AWS two parts; of Google a file's text. */
function Secret({ provider, form, set, isOptional = false }) {
  const id = idOf(provider);
  const off = { autocomplete: "off", spellcheck: false, required: !isOptional };
  if (id === "vertex") {
    return html`<${Field} id="pk-secret" label="Service account" hint="The text of its JSON file, with client_email and private_key.">
      <textarea id="pk-secret" class="code" value=${form.secret} onInput=${(event) => set({ secret: event.target.value })} aria-describedby="pk-secret-hint" ...${off} /><//>`;
  }
  const isAws = id === "bedrock";
  return html`<${Text} id="pk-secret" type="password" label=${isAws ? "Access key id" : "Key"} hint="It is sealed at once, and shown to nobody again." value=${form.secret} set=${(secret) => set({ secret })} ...${off} autocomplete="new-password" />
    ${isAws && html`<${Text} id="pk-second" type="password" label="Secret access key" value=${form.second} set=${(second) => set({ second })} ...${off} autocomplete="new-password" />`}`;
}

const secretOf = (form) => ({ providerKey: form.secret.trim(), ...(form.second.trim() ? { providerSecretKey: form.second.trim() } : {}) });
const told = (config) => Object.fromEntries(Object.entries(config).map(([name, value]) => [name, String(value).trim()]).filter(([, value]) => value));

/** Where the key goes, and the settings that its provider usually wants; the others are folded. */
function Place({ form, set, provider }) {
  const usual = USUAL[idOf(provider)] ?? [];
  const others = Object.keys(SETTINGS).filter((name) => !usual.includes(name));
  const one = (name) => SETTINGS[name].isFlag ? html`<label class="option" key=${name}><input type="checkbox" checked=${form.config[name] === "true"}
      onChange=${(event) => set({ config: { ...form.config, [name]: event.target.checked ? "true" : "" } })} /><span class="grow">${SETTINGS[name].name}</span></label>` : html`<${Text} key=${name} id=${`pk-${name}`} label=${SETTINGS[name].name} hint=${SETTINGS[name].hint} autocomplete="off" value=${form.config[name] ?? ""} set=${(value) => set({ config: { ...form.config, [name]: value } })} />`;
  return html`${usual.map(one)}
    <label class="option"><input type="checkbox" checked=${form.byok} onChange=${(event) => set({ byok: event.target.checked })} />
      <span class="grow">The gateway may use it for this organisation's calls (BYOK)</span></label>
    <details><summary>Address and more settings</summary><div class="stack">
      <${Text} id="pk-url" label="Base URL" hint="The only place the key may go to. Empty: the provider's own address." type="url" placeholder="https://…" value=${form.url} set=${(url) => set({ url })} autocomplete="off" />
      ${others.map(one)}</div></details>`;
}
