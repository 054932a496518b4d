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
const PLAIN = { secret: "key", settings: [], needs_address: false };

/** Which providers' keys can be stored: [all, of(name)]; of what is not known, one key and no more. */
function useProviders() {
  const known = useQuery("storable", (signal) => get("/v1/api-keys/providers", { signal }));
  const all = known.data ?? [];
  const of = (name) => {
    const wanted = name.trim().toLowerCase();
    const forms = [wanted, wanted.replace(/[\s_]+/g, "-")];
    return all.find((one) => forms.some((form) => one.id === form || one.aliases.includes(form))) ?? PLAIN;
  };
  return [all, of];
}

export function AddKey({ close, changed }) {
  const [all, of] = useProviders();
  const [form, setForm] = useState({ provider: "", name: "", url: "", byok: true, config: {}, secret: "", second: "" });
  const set = (patched) => setForm((now) => ({ ...now, ...patched }));
  const provider = of(form.provider);
  const isUnknown = all.length > 0 && form.provider.trim() && provider === PLAIN;
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
      <${Text} id="pk-provider" label="Provider" hint=${isUnknown ? "This is none of those that are known here." : "As the gateway calls it: openai, anthropic, bedrock …"} value=${form.provider} set=${(provider) => set({ provider })} list="pk-providers" required autocomplete="off" autofocus />
      <datalist id="pk-providers">${all.map(({ id }) => html`<option key=${id} value=${id} />`)}</datalist>
      <${Secret} kind=${provider.secret} form=${form} set=${set} />
      <${Text} id="pk-name" label="Name" hint="To keep several of one provider. One of the same name is replaced." value=${form.name} set=${(name) => set({ name })} autocomplete="off" maxlength="200" />
      <${Place} form=${form} set=${set} provider=${provider} />
    <//><//>`;
}

export function EditKey({ row, close, changed }) {
  const [, of] = useProviders();
  const provider = of(row.provider_name);
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
      <${Place} form=${form} set=${set} provider=${provider} />
      ${(resource || address) && html`<p class="notice warn">The secret was entered for the old address and is not sent to another one: enter it here as well, or the key is out of use until it is entered again.</p>
        <${Secret} kind=${provider.secret} form=${form} set=${set} isOptional />`}
    <//><//>`;
}

export function RotateKey({ row, close, changed }) {
  const [, of] = useProviders();
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
      <${Secret} kind=${of(row.provider_name).secret} form=${form} set=${set} /><//><//>`;
}

/** The secret: one line; of AWS two parts; of Google a file's text. */
function Secret({ kind, form, set, isOptional = false }) {
  const off = { autocomplete: "off", spellcheck: false, required: !isOptional };
  if (kind === "service_account") {
    return html`<${Field} id="pk-secret" label="Service account" hint="The text of its JSON file, with client_email and private_key.">
      <textarea id="pk-secret" class="code" value=${form.secret} onInput=${(event) => set({ secret: event.target.value })} aria-describedby="pk-secret-hint" ...${off} /><//>`;
  }
  const isAws = kind === "pair";
  return html`<${Text} id="pk-secret" type="password" label=${isAws ? "Access key id" : "Key"} hint="It is sealed at once, and shown to nobody again." value=${form.secret} set=${(secret) => set({ secret })} ...${off} autocomplete="new-password" />
    ${isAws && html`<${Text} id="pk-second" type="password" label="Secret access key" value=${form.second} set=${(second) => set({ second })} ...${off} autocomplete="new-password" />`}`;
}

const secretOf = (form) => ({ providerKey: form.secret.trim(), ...(form.second.trim() ? { providerSecretKey: form.second.trim() } : {}) });
const told = (config) => Object.fromEntries(Object.entries(config).map(([name, value]) => [name, String(value).trim()]).filter(([, value]) => value));

/** Where the key goes, and the settings that its provider usually wants; the others are folded. */
function Place({ form, set, provider }) {
  const usual = provider.settings;
  const others = Object.keys(SETTINGS).filter((name) => !usual.includes(name));
  const one = (name) => SETTINGS[name].isFlag ? html`<label class="option" key=${name}><input type="checkbox" checked=${form.config[name] === "true"}
      onChange=${(event) => set({ config: { ...form.config, [name]: event.target.checked ? "true" : "" } })} /><span class="grow">${SETTINGS[name].name}</span></label>` : html`<${Text} key=${name} id=${`pk-${name}`} label=${SETTINGS[name].name} hint=${SETTINGS[name].hint} autocomplete="off" value=${form.config[name] ?? ""} set=${(value) => set({ config: { ...form.config, [name]: value } })} />`;
  const isOwn = provider.needs_address;
  // Azure's is made from the resource as well.
  const url = html`<${Text} id="pk-url" label="Base URL" hint=${isOwn ? "Yours at this provider, the only place the key may go to." : "The only place the key may go to. Empty: the provider's own address."} type="url" placeholder="https://…" value=${form.url} set=${(text) => set({ url: text })} autocomplete="off" required=${isOwn && !usual.includes("resourceName")} />`;
  return html`${usual.map((name) => SETTINGS[name] && one(name))}${isOwn && url}
    <label class="option"><input type="checkbox" checked=${form.byok} onChange=${(event) => set({ byok: event.target.checked })} />
      <span class="grow">The gateway may use it for this organisation's calls (BYOK)</span></label>
    <details><summary>Address and more settings</summary><div class="stack">
      ${!isOwn && url}
      ${others.map(one)}</div></details>`;
}
