// One alert as a form: what is watched, over how long, of which requests, and who is told.
import { html, useState } from "../../lib/html.js";
import { patch, post } from "../../lib/api.js";
import { textOf } from "../../lib/filter_back.js";
import { parse } from "../../lib/filter_text.js";
import { useAct } from "../../lib/query.js";
import { Channels, channelsOf, channelsText } from "../../parts/channels.js";
import { Field, FormDialog, Span, secondsOf, spanOf } from "../../parts/form.js";
import { toast } from "../../parts/pop.js";
import { AGGREGATIONS, METRICS } from "./words.js";

const GROUPINGS = ["user", "model", "provider"];
const PROPERTY = "property";
const PERCENTILE = 95;

/** The fields as text, of an alert or of none. */
function fieldsOf(alert) {
  return {
    name: alert.name ?? "", metric: alert.metric ?? "response.status", threshold: alert.threshold ?? 5,
    aggregation: alert.aggregation ?? "sum", percentile: alert.percentile ?? PERCENTILE,
    grouping: alert.grouping_is_property ? PROPERTY : alert.grouping ?? "", property: alert.grouping_is_property ? alert.grouping : "",
    least: alert.minimum_request_count ?? 0, filter: textOf(alert.filter) ?? null,
  };
}

/** As the API wants it. Raises where the filter cannot be read. */
function bodyOf(fields, span, channels) {
  const { aggregates } = METRICS[fields.metric];
  const { filter, error } = parse(fields.filter ?? "");
  if (error) throw new Error(error);
  return {
    name: fields.name, metric: fields.metric, threshold: Number(fields.threshold), time_window: String(secondsOf(span) * 1000),
    aggregation: aggregates ? fields.aggregation : null,
    percentile: aggregates && fields.aggregation === "percentile" ? Number(fields.percentile) : null,
    grouping: fields.grouping === PROPERTY ? fields.property.trim() : fields.grouping || null, grouping_is_property: fields.grouping === PROPERTY,
    minimum_request_count: Number(fields.least), ...(fields.filter === null ? {} : { filter }), ...channelsOf(channels),
  };
}

export function AlertForm({ alert, close, done }) {
  const [fields, setFields] = useState(() => fieldsOf(alert));
  const [span, setSpan] = useState(spanOf(Number(alert.time_window ?? 600_000) / 1000));
  const [cooldown, setCooldown] = useState(spanOf(Number(alert.cooldown ?? 300_000) / 1000));
  const [channels, setChannels] = useState(() => channelsText(alert));
  const [run, act] = useAct(async () => {
    const body = { ...bodyOf(fields, span, channels), cooldown: String(secondsOf(cooldown) * 1000) };
    if (alert.id) await patch(`/v1/alert/${alert.id}`, body);
    else await post("/v1/alert/create", body);
    toast(alert.id ? "Changed" : "It is looked at within a minute");
    done();
  });
  const set = (name) => (event) => setFields({ ...fields, [name]: event.target.value });
  return html`<${FormDialog} title=${alert.id ? "Change the alert" : "New alert"} verb=${alert.id ? "Change" : "Make the alert"} close=${close} submit=${run} act=${act}>
    <${Field} id="alert-name" label="Name"><input id="alert-name" required maxlength="200" value=${fields.name} onInput=${set("name")} /><//>
    <${What} fields=${fields} set=${set} choose=${(metric) => setFields({ ...fields, metric, aggregation: METRICS[metric].usual ?? fields.aggregation })} />
    <${Span} id="alert-window" label="Within" hint="From 30 seconds to 30 days, up to now." span=${span} setSpan=${setSpan} units=${[1, 60, 3600, 86400]} />
    <${Span} id="alert-cooldown" label="Over after" hint="So long below the threshold without a break, up to a day. 0: at once." least="0" span=${cooldown} setSpan=${setCooldown} units=${[1, 60, 3600]} />
    <${Which} fields=${fields} set=${set} clear=${() => setFields({ ...fields, filter: "" })} />
    <${Channels} value=${channels} change=${setChannels} /><//>`;
}

/** The metric, how it is put together, and the threshold. */
function What({ fields, set, choose }) {
  const metric = METRICS[fields.metric];
  return html`<${Field} id="alert-metric" label="Metric" hint=${metric.tells}><select id="alert-metric" value=${fields.metric} onChange=${(event) => choose(event.target.value)}>
      ${Object.entries(METRICS).map(([id, { name }]) => html`<option value=${id}>${name}</option>`)}</select><//>
    ${metric.aggregates && html`<div class="pair even">
      <${Field} id="alert-aggregation" label="Put together as"><select id="alert-aggregation" value=${fields.aggregation} onChange=${set("aggregation")}>
        ${Object.entries(AGGREGATIONS).map(([id, name]) => html`<option value=${id}>${name}</option>`)}</select><//>
      ${fields.aggregation === "percentile" && html`<${Field} id="alert-percentile" label="Percentile"><input id="alert-percentile" type="number" min="0.1" max="99.9" step="any" required value=${fields.percentile} onInput=${set("percentile")} /><//>`}</div>`}
    <${Field} id="alert-threshold" label=${`Threshold (${metric.unit})`}><input id="alert-threshold" type="number" min="0" step="any" required value=${fields.threshold} onInput=${set("threshold")} /><//>`;
}

/** Of which requests, and whether each group counts for itself. */
function Which({ fields, set, clear }) {
  return html`<div class="pair even">
      <${Field} id="alert-grouping" label="Counted for"><select id="alert-grouping" value=${fields.grouping} onChange=${set("grouping")}>
        <option value="">all together</option>${GROUPINGS.map((one) => html`<option value=${one}>each ${one}</option>`)}<option value=${PROPERTY}>each value of a property</option></select><//>
      ${fields.grouping === PROPERTY && html`<${Field} id="alert-property" label="Property"><input id="alert-property" required value=${fields.property} onInput=${set("property")} /><//>`}</div>
    <${Field} id="alert-least" label="From this many requests" hint="So that one failure of two at night wakes nobody."><input id="alert-least" type="number" min="0" step="1" required value=${fields.least} onInput=${set("least")} /><//>
    ${fields.filter === null
      ? html`<p class="notice">This alert looks at chosen requests, by a filter that was made elsewhere and stays as it is. <button type="button" class="link" onClick=${clear}>Replace it</button></p>`
      : html`<${Field} id="alert-filter" label="Only requests where" hint="As in the search above lists. Empty: all."><input id="alert-filter" class="code" spellcheck=${false} autocomplete="off" placeholder="model = gpt-4o and property.environment = production"
          aria-invalid=${Boolean(parse(fields.filter).error)} value=${fields.filter} onInput=${set("filter")} /><//>`}`;
}
