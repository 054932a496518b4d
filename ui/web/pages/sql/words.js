// SQL as words: what is coloured how, and what could stand at the caret. Pure: text in, parts out.

const KEYWORDS = `select from where group by order having limit offset with as and or not in is null like ilike
between case when then else end distinct join left right inner full cross on using union all except intersect
asc desc nulls first last over partition interval filter qualify exists true false cast unnest recursive values
day hour minute week month year`.split(/\s+/);

/** Functions that questions about requests are made of, with what they take. */
export const FUNCTIONS = {
  count: "(*) or (column): how many", sum: "(column)", avg: "(column): mean", min: "(column)", max: "(column)",
  median: "(column)", quantile_cont: "(column, 0.95): percentile", count_if: "(condition)", any_value: "(column)",
  arg_max: "(value, by): value where `by` is largest", stddev: "(column)", string_agg: "(column, ', ')", list: "(column)",
  date_trunc: "('day', time): start of its day, hour, week …", date_diff: "('minute', from, to)", date_part: "('hour', time)",
  time_bucket: "(interval 5 minute, time)", now: "(): the time now, UTC", strftime: "(time, '%H:%M')", epoch_ms: "(time)",
  coalesce: "(a, b, …): the first that is not NULL", nullif: "(a, b)", round: "(number, digits)", floor: "(number)", ceil: "(number)",
  abs: "(number)", greatest: "(a, b)", least: "(a, b)", ln: "(number)", length: "(text)", lower: "(text)", upper: "(text)",
  trim: "(text)", substr: "(text, from, length)", replace: "(text, what, by)", contains: "(text, what)", starts_with: "(text, what)",
  split_part: "(text, separator, number)", regexp_matches: "(text, pattern)", regexp_extract: "(text, pattern, group)",
  concat: "(a, b, …)", json_extract_string: "(text, '$.path')", json_extract: "(text, '$.path')", map_keys: "(map)", map_values: "(map)",
  len: "(list)", list_contains: "(list, value)", row_number: "() over (…)", rank: "() over (…)", lag: "(column) over (…)",
  lead: "(column) over (…)", try_cast: "(value as type)",
};

const KEYWORD = new Set(KEYWORDS);
const TOKEN = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*'?)|("(?:[^"]|"")*"?)|(\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)|([A-Za-z_]\w*)|([\s\S])/gi;
const COLOURED_MAX = 60_000;

/** [[kind, text], …] that together are the text. Kinds: comment, string, number, keyword,
 *  function, "" for the rest. A very long text is left without colours. */
export function tokens(text) {
  if (text.length > COLOURED_MAX) return [["", text]];
  const found = [];
  const put = (kind, part) => {
    const last = found.at(-1);
    if (last && last[0] === kind) last[1] += part;
    else found.push([kind, part]);
  };
  for (const match of text.matchAll(TOKEN)) {
    const [whole, comment, string, , number, word] = match;
    if (comment) put("comment", whole);
    else if (string) put("string", whole);
    else if (number) put("number", whole);
    else if (word && KEYWORD.has(word.toLowerCase())) put("keyword", whole);
    else if (word && word.toLowerCase() in FUNCTIONS && /^\s*\(/.test(text.slice(match.index + whole.length, match.index + whole.length + 20))) put("function", whole);
    else put("", whole);
  }
  return found;
}

const SHOWN_MAX = 12;

/** What can be completed at `caret`: {from, found: [{name, tells, put}]}, or null. `tables` are those
 *  of the schema. Nothing is offered inside strings and comments. */
export function completions(text, caret, tables, { asked = false } = {}) {
  const before = text.slice(0, caret);
  const word = /[A-Za-z_]\w*$/.exec(before)?.[0] ?? "";
  const owner = /([A-Za-z_]\w*)\.\w*$/.exec(before)?.[1].toLowerCase();
  if (!word && !asked && !owner) return null;
  const last = tokens(before).at(-1);
  if (last && (last[0] === "comment" || (last[0] === "string" && !(last[1].length > 1 && last[1].endsWith("'"))))) return null;
  const wanted = word.toLowerCase();
  const fit = candidates(text, tables, owner).map((one) => [rank(one.name.toLowerCase(), wanted), one]).filter(([at]) => at >= 0);
  if (wanted) fit.sort(([a, one], [b, other]) => a - b || (one.kind === 3) - (other.kind === 3) || one.name.length - other.name.length || one.kind - other.kind);
  const found = fit.slice(0, SHOWN_MAX).map(([, one]) => one);
  if (!found.length || (found.length === 1 && found[0].name.toLowerCase() === wanted)) return null;
  return { from: caret - word.length, found };
}

/** The tables of FROM and JOIN, by their names and by those that the query gives them. */
function named(text, tables) {
  const found = new Map();
  for (const [, name, short] of text.toLowerCase().matchAll(/\b(?:from|join)\s+(\w+)(?:\s+(?:as\s+)?([a-z_]\w*))?/g)) {
    const table = tables.find((one) => one.table_name === name);
    if (!table) continue;
    found.set(name, table);
    if (short && !KEYWORD.has(short)) found.set(short, table);
  }
  return found;
}

const rank = (name, wanted) => (name.startsWith(wanted) ? 0 : wanted.length > 1 && name.includes(wanted) ? 1 : -1);

/** Columns come once each, of the tables that the query names, else of the first. */
function candidates(text, tables, owner) {
  const used = named(text, tables);
  const columns = new Map();
  for (const table of owner ? [used.get(owner)] : used.size ? new Set(used.values()) : tables.slice(0, 1)) {
    for (const column of table?.columns ?? []) {
      if (!columns.has(column.name)) columns.set(column.name, { name: column.name, put: column.name, tells: column.comment ?? column.type, kind: 0 });
    }
  }
  if (owner) return [...columns.values()];
  return [
    ...columns.values(),
    ...tables.map((table) => ({ name: table.table_name, put: table.table_name, tells: table.description ?? "table", kind: 1 })),
    ...Object.entries(FUNCTIONS).map(([name, tells]) => ({ name, put: `${name}(`, tells, kind: 2 })),
    ...KEYWORDS.map((name) => ({ name, put: name, tells: "", kind: 3 })),
  ];
}
