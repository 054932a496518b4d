// Providers: how they are doing, the keys that are stored for them, keys that stand in, the models.
import { html } from "../lib/html.js";
import { get } from "../lib/api.js";
import { useQuery } from "../lib/query.js";
import { go, href } from "../lib/route.js";
import { Tabs } from "../parts/settings.js";
import { Models } from "./providers/models.js";
import { ProviderKeys } from "./providers/keys.js";
import { ProxyKeys } from "./providers/proxy_keys.js";
import { Status } from "./providers/status.js";

const TABS = [["status", "Status"], ["keys", "Stored keys"], ["proxy-keys", "Proxy keys"], ["models", "Models"]];

export default function Providers({ rest, params }) {
  const shown = TABS.some(([id]) => id === rest[0]) ? rest[0] : "status";
  const needsKeys = shown === "keys" || shown === "proxy-keys";
  const keys = useQuery(needsKeys ? "provider-keys" : null, (signal) => get("/v1/api-keys/provider-keys", { signal }));
  return html`<div class="page">
    <div class="page-head"><h1>Providers</h1></div>
    <${Tabs} label="Providers" tabs=${TABS} value=${shown} set=${(id) => go(href("providers", id === "status" ? [] : [id]))} />
    ${shown === "status" && html`<${Status} params=${params} />`}
    ${shown === "keys" && html`<${ProviderKeys} keys=${keys} />`}
    ${shown === "proxy-keys" && html`<${ProxyKeys} keys=${keys} />`}
    ${shown === "models" && html`<${Models} params=${params} />`}
  </div>`;
}
