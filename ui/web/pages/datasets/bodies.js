// What the rows of a page hold. They come with the page; what is too large for it, by its signed address.
import { useEffect, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";

/** The path of a signed address: the server may know itself by another name than this browser does. */
function pathOf(row) {
  const link = new URL(row.signed_url.data, location.origin);
  return link.pathname + link.search;
}

/** {request, response} of one row. */
export const bodyOfRow = async (row, signal) => row.bodies ?? get(pathOf(row), { signal });

/** A map of each row's id to {request, response}, or to {error}; what did not come with the page
 *  follows one by one. */
export function useBodies(rows) {
  const [late, setLate] = useState(new Map());
  useEffect(() => {
    const control = new AbortController();
    const follow = async () => {
      for (const row of rows ?? []) {
        if (row.bodies) continue;
        const body = await bodyOfRow(row, control.signal).catch((error) => ({ error }));
        if (control.signal.aborted) return;
        setLate((all) => new Map(all).set(row.id, body));
      }
    };
    follow();
    return () => control.abort();
  }, [rows]);
  return new Map((rows ?? []).map((row) => [row.id, row.bodies ?? late.get(row.id)]));
}
