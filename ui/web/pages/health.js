// The appliance itself: whether all is well, who changed what, and deleting for good.
import { html } from "../lib/html.js";
import { go, href } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { Tabs } from "../parts/settings.js";
import { Empty } from "../parts/states.js";
import { Audit } from "./health/audit.js";
import { Deletions } from "./health/deletions.js";
import { Overview } from "./health/overview.js";

const TABS = [["overview", "Overview"], ["audit", "Audit log"], ["deletions", "Deletions"]];

export default function Health({ rest, params }) {
  const session = useSession();
  const shown = TABS.some(([id]) => id === rest[0]) ? rest[0] : "overview";
  const mayConfigure = may(session, "configure");
  return html`<div class="page">
    <div class="page-head"><h1>Health</h1></div>
    <${Tabs} label="Health" tabs=${TABS} value=${shown} set=${(id) => go(href("health", id === "overview" ? [] : [id]))} />
    ${shown === "overview" ? html`<${Overview} mayConfigure=${mayConfigure} />`
      : !mayConfigure ? html`<${Empty} title="For owners and admins">The log of changes and deletions are shown to owners and admins of the organisation.<//>`
      : shown === "audit" ? html`<${Audit} params=${params} />` : html`<${Deletions} session=${session} />`}
  </div>`;
}
