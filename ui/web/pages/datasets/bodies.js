// What the rows of a page hold, fetched a few at a time by their signed addresses.
import { useEffect, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";

const AT_ONCE = 4;

/** The path of a signed address: the server may know itself by another name than this browser does. */
function pathOf(row) {
  const link = new URL(row.signed_url.data, location.origin);
  return link.pathname + link.search;
}

/** {request, response} of one row. */
export const bodyOfRow = (row, signal) => get(pathOf(row), { signal });

/** A map of each row's id to {request, response}, or to {error}; it fills as they come. */
export function useBodies(rows) {
  const [found, setFound] = useState(new Map());
  useEffect(() => {
    if (!rows?.length) return undefined;
    const control = new AbortController();
    const left = [...rows];
    const worker = async () => {
      for (let row = left.shift(); row && !control.signal.aborted; row = left.shift()) {
        const one = row;
        const body = await bodyOfRow(one, control.signal).catch((error) => ({ error }));
        if (!control.signal.aborted) setFound((all) => new Map(all).set(one.id, body));
      }
    };
    for (let at = 0; at < AT_ONCE; at += 1) worker();
    return () => control.abort();
  }, [rows]);
  return found;
}
