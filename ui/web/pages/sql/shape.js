// What the rows of an answer are: columns with their kinds, and whether they make a chart. Pure.
import { date, duration, short, usd } from "../../lib/format.js";

const TIME = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?)?$/;
const LOOKED_AT = 200;
const SERIES_MAX = 6;
const BARS_MAX = 60;

/** [{name, kind}] of an answer: kind "number", "time", "text" or "json", by DuckDB's type. */
export const columnsOf = ({ columns, rows }) => columns.map(({ name, type }) => ({ name, kind: kindOf(type) ?? ofTexts(rows, name) }));

function kindOf(type) {
  if (/\]$|^(STRUCT|MAP|UNION)\b/.test(type)) return "json";
  if (/^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\))$/.test(type)) return "number";
  return /^(DATE$|TIMESTAMP)/.test(type) ? "time" : undefined;
}

/** strftime() and the like give texts that are times. */
function ofTexts(rows, name) {
  const texts = rows.slice(0, LOOKED_AT).map((row) => row[name]).filter((value) => value !== null);
  return texts.length && texts.every((text) => TIME.test(text)) ? "time" : "text";
}

/** A value as a cell shows it. Times lose the zeros at their end: they are UTC as they stand. */
export function cell(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value === "string" && value.length < 40 && TIME.test(value)) return value.replace("T", " ").replace(/\.0+Z$|Z$/, "");
  return String(value);
}

/** How amounts of a column are written on an axis: by its name's ending, else as bare numbers. */
export const formatOf = (name) => (/(^|_)usd$/i.test(name) ? usd : /(_ms|^latency|^time_to_first_token)$/i.test(name) ? duration : short);

/** {kind: "time", times, series} or {kind: "bars", name, amounts}, or null: no chart fits. A time, a
 *  name and a number become a line for each of the most frequent names. */
export function chartOf(rows, columns) {
  const [first, second] = columns;
  const numbers = columns.filter((column) => column.kind === "number");
  if (!first || !rows.length || !numbers.length || first.kind === "json") return null;
  if (first.kind === "time") {
    return second.kind === "text" && numbers.length ? pivoted(rows, first, second, numbers[0]) : lines(rows, first, numbers);
  }
  const amounts = numbers.filter((column) => column !== first);
  if (!amounts.length) return null;
  const names = columns.filter((column) => column.kind !== "number" || column === first).map((column) => column.name);
  return { kind: "bars", amounts: amounts.map((column) => column.name), rows: rows.slice(0, BARS_MAX), cut: rows.length > BARS_MAX, nameOf: (row) => names.map((name) => cell(row[name]) ?? "NULL").join(" · ") };
}

function lines(rows, first, numbers) {
  const sorted = rows.filter((row) => date(row[first.name])).sort((a, b) => date(a[first.name]) - date(b[first.name]));
  return {
    kind: "time", times: sorted.map((row) => date(row[first.name])),
    series: numbers.slice(0, SERIES_MAX).map((column, at) => ({ name: column.name, color: `chart-${at + 1}`, values: sorted.map((row) => row[column.name] ?? null) })),
    left: numbers.slice(SERIES_MAX).length, format: formatOf(numbers[0].name),
  };
}

function pivoted(rows, first, second, amount) {
  const totals = new Map();
  const byTime = new Map();
  for (const row of rows) {
    const name = cell(row[second.name]) ?? "NULL";
    totals.set(name, (totals.get(name) ?? 0) + Math.abs(row[amount.name] ?? 0));
    const at = byTime.get(row[first.name]) ?? {};
    at[name] = row[amount.name];
    byTime.set(row[first.name], at);
  }
  const names = [...totals.keys()].sort((a, b) => totals.get(b) - totals.get(a));
  const times = [...byTime.keys()].filter(date).sort((a, b) => date(a) - date(b));
  return {
    kind: "time", times: times.map(date), format: formatOf(amount.name), left: Math.max(0, names.length - SERIES_MAX),
    series: names.slice(0, SERIES_MAX).map((name, at) => ({ name, color: `chart-${at + 1}`, values: times.map((time) => byTime.get(time)[name] ?? null) })),
  };
}
