// Ranges of time: "24h", "7d", or two times with a dash of their own between them in the address.
import { date } from "./format.js";

const MINUTE = 60_000;
export const PRESETS = {
  "1h": { name: "Last hour", ms: 60 * MINUTE },
  "24h": { name: "Last 24 hours", ms: 24 * 60 * MINUTE },
  "7d": { name: "Last 7 days", ms: 7 * 24 * 60 * MINUTE },
  "30d": { name: "Last 30 days", ms: 30 * 24 * 60 * MINUTE },
  "90d": { name: "Last 90 days", ms: 90 * 24 * 60 * MINUTE },
};
export const RANGE = "7d";

/** {start, end, preset, step} as Dates; what cannot be read is the usual range. `step` is what the
 *  API calls dbIncrement, so that a chart has some 30 to 200 points. */
export function rangeOf(text, now = new Date()) {
  const [from, to] = String(text ?? "").split("~").map((part) => date(part));
  let start = from;
  let end = to;
  let preset = "";
  if (!start || !end || start >= end) {
    preset = PRESETS[text] ? text : RANGE;
    end = new Date(Math.ceil(now.getTime() / MINUTE) * MINUTE);
    start = new Date(end.getTime() - PRESETS[preset].ms);
  }
  const span = end - start;
  const step = span <= 4 * 60 * MINUTE ? "min" : span <= 8 * 24 * 60 * MINUTE ? "hour"
    : span <= 400 * 24 * 60 * MINUTE ? "day" : "month";
  return { start, end, preset, step };
}

/** As it stands in the address. */
export const rangeText = (start, end) =>
  `${start.toISOString().slice(0, 19)}Z~${end.toISOString().slice(0, 19)}Z`;

/** What the API wants to know of it. */
export const timeFilter = (range) => ({ start: range.start.toISOString(), end: range.end.toISOString() });

/** Minutes from local time to UTC, as the API counts them. */
export const zoneMinutes = () => new Date().getTimezoneOffset();
