// Where news go: addresses of mail, Slack's incoming webhooks, webhooks; one in each line.
import { html } from "../lib/html.js";
import { Field } from "./form.js";

const lines = (text) => text.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);

/** What is kept, as text to be changed. */
export const channelsText = (kept = {}) => ({
  emails: (kept.emails ?? []).join("\n"), slack_channels: (kept.slack_channels ?? []).join("\n"), webhooks: (kept.webhooks ?? []).join("\n"),
});

/** As the API wants it. */
export const channelsOf = (text) => Object.fromEntries(Object.entries(text).map(([name, value]) => [name, lines(value)]));

export function Channels({ value, change }) {
  const area = (name, label, hint, placeholder) => html`<${Field} id=${`to-${name}`} label=${label} hint=${hint}>
    <textarea id=${`to-${name}`} class="code short" rows="2" spellcheck=${false} placeholder=${placeholder} value=${value[name]} onInput=${(event) => change({ ...value, [name]: event.target.value })} /><//>`;
  return html`<fieldset class="stack"><legend>Who is told</legend>
    ${area("emails", "E-mail", "One address in each line.", "ops@example.com")}
    ${area("slack_channels", "Slack", "URLs of incoming webhooks. Those that are kept are shown without their secret, and stay as they are.", "https://hooks.slack.com/services/…")}
    ${area("webhooks", "Webhooks", "URLs that get the news as JSON.", "https://example.com/hook")}</fieldset>`;
}

/** In a few words, with all of it on hover. */
export function ChannelsShown({ of }) {
  const parts = [["e-mail", of.emails], ["Slack", of.slack_channels], ["webhook", of.webhooks]].filter(([, list]) => list.length);
  return html`<span title=${parts.flatMap(([, list]) => list).join("\n")}>${parts.map(([name, list]) => (list.length > 1 ? `${list.length} × ${name}` : name)).join(", ")}</span>`;
}

/** What keeps news from arriving, each said once. */
export function Warnings({ of }) {
  const found = [...new Set(of.flatMap((one) => one.warnings ?? []))];
  return found.length ? html`<ul class="notice warn">${found.map((words) => html`<li key=${words}>${words}</li>`)}</ul>` : null;
}
