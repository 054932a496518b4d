// What every chart of a page asks with: its range and its filter, going on with the clock.
import { useEffect, useMemo, useState } from "./html.js";
import { parse } from "./filter_text.js";
import { rangeOf, rangeText, timeFilter, zoneMinutes } from "./range.js";
import { setParams } from "./route.js";

const MINUTE_MS = 60_000;

/** {range, body, error, key} of the page's `q` and `range`; `key` is null while the filter cannot
 *  be read. */
export function useChartBody(params) {
  const q = params.q ?? "";
  const [minute, setMinute] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setMinute((now) => now + 1), MINUTE_MS);
    return () => clearInterval(timer);
  }, []);
  return useMemo(() => {
    const range = rangeOf(params.range); // which goes on with the clock
    const { filter, error } = parse(q);
    const body = { filter: filter ?? "all", timeFilter: timeFilter(range), dbIncrement: range.step, timeZoneDifference: zoneMinutes() };
    return { range, body, error, key: error ? null : JSON.stringify([q, params.range ?? ""]) };
  }, [q, params.range, minute]);
}

/** What was dragged in a chart becomes the page's range. */
export const zoomTo = (start, end) => setParams({ range: rangeText(start, end) }, { push: true });
