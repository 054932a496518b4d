// The address bar is the state: which page, what of it, and every choice that was made on it.
import { useEffect, useState } from "./html.js";

const listeners = new Set();
const tell = () => { for (const listener of listeners) listener(); };

/** {page, rest, params} of an address. `rest` are the decoded segments behind the page's name. */
export function read(url = location) {
  const [page = "", ...rest] = url.pathname.split("/").filter(Boolean).map(decoded);
  return { page, rest, params: Object.fromEntries(new URLSearchParams(url.search)) };
}

function decoded(segment) {
  try { return decodeURIComponent(segment); } catch { return segment; }
}

/** An address of ours: href("sessions", "a/b") with parameters that are not empty. */
export function href(page, rest = [], params = {}) {
  const path = [page, ...[rest].flat()].map((part) => encodeURIComponent(part)).join("/");
  const query = new URLSearchParams(
    Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== ""),
  ).toString();
  return `/${path}${query ? `?${query}` : ""}`;
}

/** Go there. `replace` leaves no step to come back to: for choices on a page. */
export function go(address, { replace = false } = {}) {
  if (address === location.pathname + location.search + location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  if (!replace) document.querySelector("main")?.scrollTo(0, 0);
  tell();
}

/** Change choices of this page; undefined or "" takes one away. */
export function setParams(patch, { push = false } = {}) {
  const now = read();
  go(href(now.page, now.rest, { ...now.params, ...patch }), { replace: !push });
}

export function useRoute() {
  const [route, setRoute] = useState(read());
  useEffect(() => {
    const changed = () => setRoute(read());
    listeners.add(changed);
    addEventListener("popstate", changed);
    return () => { listeners.delete(changed); removeEventListener("popstate", changed); };
  }, []);
  return route;
}

/** Links to pages of ours do not load the page anew. */
export function catchLinks(isOurs) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    const to = new URL(link.href);
    const { page, rest } = read(to);
    if (!isOurs(page, rest)) return;
    event.preventDefault();
    go(to.pathname + to.search + to.hash);
  });
}
