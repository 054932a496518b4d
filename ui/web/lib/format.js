// Numbers with their units, times in the viewer's zone. "–" stands for what is not known.
export const NONE = "–";

const known = (value) => value !== null && value !== undefined && value !== "" && !Number.isNaN(Number(value));
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 12,345 */
export const count = (value) => (known(value) ? whole.format(value) : NONE);

/** 1 request, 12,345 requests */
export const counted = (value, one, many = `${one}s`) => `${count(value)} ${Number(value) === 1 ? one : many}`;

/** 12.3K, where there is little room. */
export const short = (value) =>
  !known(value) ? NONE : Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value);

/** $1.23, $0.0042, $0.00000012: as many digits as tell it apart. */
export function usd(value) {
  if (!known(value)) return NONE;
  const amount = Number(value);
  const size = Math.abs(amount);
  if (size === 0) return "$0";
  const digits = size >= 100 ? 2 : size >= 0.01 ? (size >= 1 ? 2 : 4) : Math.min(12, 2 - Math.floor(Math.log10(size)));
  const text = size.toLocaleString("en", { minimumFractionDigits: size >= 0.01 ? 2 : 0, maximumFractionDigits: digits });
  return `${amount < 0 ? "−" : ""}$${text}`;
}

/** 840 ms, 1.24 s, 2 min 5 s */
export function duration(ms) {
  if (!known(ms)) return NONE;
  const value = Number(ms);
  if (value < 1) return value === 0 ? "0 ms" : `${value.toPrecision(2)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
  if (value < 3_600_000) return `${Math.floor(value / 60_000)} min ${Math.round((value % 60_000) / 1000)} s`;
  return `${Math.floor(value / 3_600_000)} h ${Math.round((value % 3_600_000) / 60_000)} min`;
}

/** 1.5 MB */
export function bytes(value) {
  if (!known(value)) return NONE;
  let size = Number(value);
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (size < 1000 || unit === "TB") return `${unit === "B" ? size : size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
    size /= 1000;
  }
  return NONE;
}

/** 12.3 % */
export const percent = (share) => (known(share) ? `${(share * 100).toFixed(share && Math.abs(share) < 0.1 ? 1 : 0)} %` : NONE);

/** A time of the API as a Date: those without a zone are UTC. */
export function date(value) {
  if (value === null || value === undefined || value === "") return null;
  const found = typeof value === "number" || value instanceof Date ? new Date(value) : read(String(value).replace(" ", "T"));
  return Number.isNaN(found.getTime()) ? null : found;
}

const read = (text) => new Date(/[Zz]$|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`);

const clockShort = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** 14:03:12 today, else 3 Sep, 14:03:12, in the viewer's zone. */
export const time = (value) => local(value, clock);

/** As `time`, without seconds: 14:03, or 3 Sep, 14:03. */
export const minute = (value) => local(value, clockShort);

function local(value, format) {
  const at = date(value);
  if (!at) return NONE;
  const now = new Date();
  if (at.toDateString() === now.toDateString()) return format.format(at);
  return `${(at.getFullYear() === now.getFullYear() ? day : dayOfYear).format(at)}, ${format.format(at)}`;
}

/** 3 min ago */
export function ago(value) {
  const at = date(value);
  if (!at) return NONE;
  const s = (Date.now() - at.getTime()) / 1000;
  if (s < 0) return "in the future";
  if (s < 5) return "just now";
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86_400)} d ago`;
}

/** For title=: the time in UTC, to the millisecond. */
export const utc = (value) => date(value)?.toISOString().replace("T", " ").replace("Z", " UTC") ?? "";

/** The first `max` characters of a text on one line. */
export function line(text, max = 160) {
  const one = String(text ?? "").replace(/\s+/g, " ").trim();
  return one.length > max ? `${one.slice(0, max - 1)}…` : one;
}
