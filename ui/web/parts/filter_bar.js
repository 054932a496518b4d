// One range and one filter for a page: text with completion, the conditions as chips, the range.
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { get, post, remove } from "../lib/api.js";
import { FIELDS, OPERATORS, kindOf, parse, quoted, write } from "../lib/filter_text.js";
import { useQuery } from "../lib/query.js";
import { PRESETS, RANGE, rangeOf, rangeText } from "../lib/range.js";
import { setParams } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { Icon } from "./icon.js";
import { Menu, toast } from "./pop.js";

/** Both, on one line. `params` are the page's: `q` and `range` are ours. */
export function FilterBar({ params, children, withSaved = true }) {
  return html`<div class="stack"><div class="bar">
    <${Search} text=${params.q ?? ""} />
    <${AddCondition} text=${params.q ?? ""} />
    ${withSaved && html`<${Saved} text=${params.q ?? ""} />`}
    <${RangePicker} value=${params.range} />${children}
  </div><${Chips} text=${params.q ?? ""} /></div>`;
}

const put = (text) => setParams({ q: text || undefined, id: undefined }, { push: true });

function Search({ text }) {
  const [draft, setDraft] = useState(text);
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const field = useRef(null);
  useEffect(() => setDraft(text), [text]);
  const { error } = useMemo(() => parse(draft), [draft]);
  const shownError = useMemo(() => parse(text).error, [text]);
  const offers = open ? completions(draft) : [];
  const take = (offer) => {
    setDraft(offer.text);
    setAt(-1);
    field.current.focus();
  };
  const key = (event) => {
    if (event.key === "ArrowDown" && offers.length) setAt((at + 1) % offers.length);
    else if (event.key === "ArrowUp" && offers.length) setAt((at - 1 + offers.length) % offers.length);
    else if (event.key === "Tab" && at >= 0 && offers[at]) take(offers[at]);
    else if (event.key === "Enter" && at >= 0 && offers[at]) take(offers[at]);
    else if (event.key === "Enter") {
      if (!error) put(draft.trim());
      setOpen(false);
    } else if (event.key === "Escape") {
      setOpen(false);
      field.current.blur();
    } else return;
    event.preventDefault();
  };
  return html`<div class="search formal">
    <${Icon} name="search" />
    <input ref=${field} data-search role="combobox" aria-label="Filter" aria-expanded=${offers.length > 0} aria-controls="filter-offers"
      aria-activedescendant=${at >= 0 ? `filter-offer-${at}` : undefined} aria-invalid=${Boolean(error && !open)} spellcheck=${false} autocomplete="off"
      placeholder="status >= 400 and model = gpt-4o, or words to look for" value=${draft}
      onInput=${(event) => { setDraft(event.target.value); setOpen(true); setAt(-1); }}
      onFocus=${() => setOpen(true)} onBlur=${() => setOpen(false)} onKeyDown=${key} />
    ${(open ? error && draft.trim() && !offers.length && error : shownError) && html`<div class="why" role="alert">${open ? error : shownError}</div>`}
    ${offers.length > 0 && html`<div class="suggest" id="filter-offers" role="listbox">${offers.map((offer, number) => html`
      <div key=${offer.name} id=${`filter-offer-${number}`} role="option" aria-selected=${number === at}
        onMouseDown=${(event) => { event.preventDefault(); take(offer); }}><code>${offer.name}</code><span class="muted small">${offer.tells}</span></div>`)}</div>`}
  </div>`;
}

/** What may come next, by the last word that is being written. */
function completions(draft) {
  const last = /(?:^|[\s(])([\w.-]*)$/.exec(draft);
  if (!last) return [];
  const before = draft.slice(0, draft.length - last[1].length);
  if (/[=~<>]\s*$/.test(before)) return [];
  const word = last[1].toLowerCase();
  const done = /(\S+)\s+$/.exec(before)?.[1];
  if (done && kindOf(done) && !word) {
    return OPERATORS[kindOf(done)].map((operator) => ({ name: operator, tells: TELLS[operator], text: `${before}${operator} ` }));
  }
  if (!word && draft) return [];
  return Object.entries({ ...FIELDS, "property.": { tells: "A property: property.NAME" }, "score.": { tells: "A score: score.NAME" } })
    .filter(([name]) => name.startsWith(word) && name !== word)
    .map(([name, { tells }]) => ({ name, tells, text: before + name + (name.endsWith(".") ? "" : " ") }));
}

const TELLS = {
  "=": "is", "!=": "is not", "~": "contains, upper and lower case alike", "!~": "does not contain",
  ">": "more than", ">=": "at least", "<": "less than", "<=": "at most",
};

/** The conditions one by one, each with a cross. */
function Chips({ text }) {
  const { tree, error } = useMemo(() => parse(text), [text]);
  if (error || !tree) return null;
  const parts = tree.and ?? [tree];
  const without = (at) => write(parts.length === 1 ? null : { and: parts.filter((_, number) => number !== at) });
  const tidy = (written) => { const again = parse(written); return again.tree ? write(again.tree.and?.length === 1 ? again.tree.and[0] : again.tree) : ""; };
  return html`<div class="chips" aria-label="Conditions">${parts.map((part, at) => html`
    <span class="chip"><span class="cut">${write(part)}</span>
      <button type="button" aria-label=${`Remove ${write(part)}`} onClick=${() => put(tidy(without(at)))}><${Icon} name="close" /></button></span>`)}
    ${parts.length > 1 && html`<button type="button" class="link small" onClick=${() => put("")}>Clear</button>`}</div>`;
}

/** A condition put together from lists. */
function AddCondition({ text }) {
  const [field, setField] = useState("model");
  const [name, setName] = useState("");
  const [operator, setOperator] = useState("=");
  const [value, setValue] = useState("");
  const whole = field.endsWith(".") ? field + name : field;
  const kind = kindOf(whole) || "property";
  const allowed = OPERATORS[kind];
  const chosen = allowed.includes(operator) ? operator : allowed[0];
  const add = (event, close) => {
    event.preventDefault();
    const condition = `${whole} ${chosen} ${quoted(value)}`;
    const { error } = parse(condition);
    if (error) {
      toast(error, "bad");
      return;
    }
    const { tree } = parse(text);
    put(tree ? `${tree.or ? `(${write(tree)})` : write(tree)} and ${condition}` : condition);
    setValue("");
    close();
  };
  return html`<${Menu} label="Add a condition" icon="plus" text="Filter" start>${(close) => html`
    <form class="stack" onSubmit=${(event) => add(event, close)}>
      <div class="field"><label for="condition-field">Field</label>
        <select id="condition-field" value=${field} onChange=${(event) => setField(event.target.value)}>
          ${Object.keys(FIELDS).map((id) => html`<option value=${id}>${id}</option>`)}
          <option value="property.">property …</option><option value="score.">score …</option></select></div>
      ${field.endsWith(".") && html`<div class="field"><label for="condition-name">Name</label>
        <input id="condition-name" required value=${name} onInput=${(event) => setName(event.target.value)} /></div>`}
      <div class="field"><label for="condition-operator">Is</label>
        <select id="condition-operator" value=${chosen} onChange=${(event) => setOperator(event.target.value)}>
          ${allowed.map((one) => html`<option value=${one}>${TELLS[one]}</option>`)}</select></div>
      <div class="field"><label for="condition-value">Value</label>
        <input id="condition-value" required value=${value} onInput=${(event) => setValue(event.target.value)} /></div>
      <button type="submit" class="primary">Add</button></form>`}<//>`;
}

function Saved({ text }) {
  const session = useSession();
  const saved = useQuery("filters", (signal) => get("/v1/filter", { signal }));
  const keep = async () => {
    const name = prompt("Name of this filter");
    if (!name) return;
    try {
      await post("/v1/filter", { name, filter: { type: "text", text } });
      saved.reload();
      toast("Saved");
    } catch (error) { toast(error.message, "bad"); }
  };
  const drop = async (id) => {
    try {
      await remove(`/v1/filter/${id}`);
      saved.reload();
    } catch (error) { toast(error.message, "bad"); }
  };
  const known = (saved.data ?? []).filter((one) => one.filter?.type === "text");
  return html`<${Menu} label="Saved filters" icon="star">${(close) => html`
    ${known.map((one) => html`<div class="row tight"><button type="button" class="choice grow" onClick=${() => { put(one.filter.text); close(); }}>${one.name}</button>
      ${may(session, "manage") && html`<button type="button" class="plain icon-only" aria-label=${`Delete ${one.name}`} onClick=${() => drop(one.id)}><${Icon} name="trash" /></button>`}</div>`)}
    ${!known.length && html`<p class="muted small">No saved filters yet.</p>`}
    ${text && may(session, "manage") && html`<button type="button" class="choice" onClick=${() => { keep(); close(); }}><${Icon} name="plus" /> Save this one</button>`}`}<//>`;
}

/** The range: presets, or two days. `usual` is what the page shows without one in the address. */
export function RangePicker({ value, usual = RANGE }) {
  const range = rangeOf(value);
  const choose = (text) => setParams({ range: text === usual ? undefined : text }, { push: true });
  const name = range.preset ? PRESETS[range.preset].name : `${day(range.start)} – ${day(range.end)}`;
  return html`<${Menu} label="Range of time" text=${name} icon="down">${(close) => html`
    ${Object.entries(PRESETS).map(([id, preset]) => html`
      <button type="button" class="choice" aria-pressed=${id === range.preset} onClick=${() => { choose(id); close(); }}>${preset.name}</button>`)}
    <hr /><form class="stack" onSubmit=${(event) => {
      event.preventDefault();
      const [from, to] = [...new FormData(event.target).values()].map((one) => new Date(one));
      if (!(from < to)) { toast("The start has to come before the end.", "bad"); return; }
      choose(rangeText(from, to));
      close();
    }}>
      <div class="field"><label for="range-from">From</label><input id="range-from" name="from" type="datetime-local" required value=${local(range.start)} /></div>
      <div class="field"><label for="range-to">To</label><input id="range-to" name="to" type="datetime-local" required value=${local(range.end)} /></div>
      <button type="submit">Use these</button></form>`}<//>`;
}

const day = (at) => at.toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const local = (at) => new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
