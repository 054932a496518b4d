// What this browser keeps of the SQL page: open tabs and the last queries, for each organisation.
import { useEffect, useRef, useState } from "../../lib/html.js";
import { store, stored } from "../../parts/theme.js";

export const TABS_MAX = 10;
const HISTORY_MAX = 50;
const TEXT_MAX = 100_000;
const KEPT_TEXT_MAX = 10_000;
const KEEP_AFTER_MS = 400;

function readList(key) {
  try {
    const found = JSON.parse(stored(key, "[]"));
    return Array.isArray(found) ? found.filter((one) => one && typeof one.text === "string") : [];
  } catch { return []; }
}

let last = Date.now();
const freshId = () => String((last += 1));

/** Tabs [{id, name, text, saved}]; `saved` is the id of the saved query that it shows. */
export function useTabs(org) {
  const key = `sql.tabs.${org}`;
  const [state, setState] = useState(() => {
    const tabs = readList(key).slice(0, TABS_MAX);
    const all = tabs.length ? tabs : [{ id: freshId(), name: "Query 1", text: "" }];
    return { tabs: all, at: all.find((one) => one.isOpen)?.id ?? all[0].id };
  });
  const latest = useRef(state);
  latest.current = state;
  useEffect(() => {
    const keep = () => store(key, JSON.stringify(latest.current.tabs.map((one) => ({ ...one, text: one.text.slice(0, TEXT_MAX), isOpen: one.id === latest.current.at }))));
    const timer = setTimeout(keep, KEEP_AFTER_MS);
    return () => { clearTimeout(timer); keep(); };
  }, [state]);
  const tab = state.tabs.find((one) => one.id === state.at) ?? state.tabs[0];
  return {
    tabs: state.tabs, tab, isFull: state.tabs.length >= TABS_MAX,
    hasRoom: state.tabs.length < TABS_MAX || !(tab.text.trim() || tab.saved),
    choose: (id) => setState((now) => ({ ...now, at: id })),
    change: (id, patch) => setState((now) => ({ ...now, tabs: now.tabs.map((one) => (one.id === id ? { ...one, ...patch } : one)) })),
    open: (made) => setState((now) => opened(now, made)),
    close: (id) => setState((now) => closed(now, id)),
    forgetSaved: (saved) => setState((now) => ({ ...now, tabs: now.tabs.map((one) => (one.saved === saved ? { ...one, saved: undefined } : one)) })),
  };
}

/** A saved query that is open already is shown; an empty tab is used; else there is a new one. */
function opened(now, { name, text, saved }) {
  const there = saved && now.tabs.find((one) => one.saved === saved);
  if (there) return { ...now, at: there.id };
  const current = now.tabs.find((one) => one.id === now.at);
  const isBlank = current && !current.text.trim() && !current.saved;
  if (text && isBlank) {
    return { ...now, tabs: now.tabs.map((one) => (one.id === now.at ? { ...one, text, saved, name: name ?? one.name } : one)) };
  }
  if (now.tabs.length >= TABS_MAX) return now;
  const numbers = now.tabs.map((one) => Number(/^Query (\d+)$/.exec(one.name)?.[1] ?? 0));
  const made = { id: freshId(), name: name ?? `Query ${Math.max(0, ...numbers) + 1}`, text: text ?? "", saved };
  return { tabs: [...now.tabs, made], at: made.id };
}

function closed(now, id) {
  const at = now.tabs.findIndex((one) => one.id === id);
  const tabs = now.tabs.filter((one) => one.id !== id);
  if (!tabs.length) tabs.push({ id: freshId(), name: "Query 1", text: "" });
  return { tabs, at: now.at === id ? tabs[Math.min(at, tabs.length - 1)].id : now.at };
}

/** The last queries that ran, newest first, each once: [{text, at, rows, ms}]. */
export function useHistory(org) {
  const key = `sql.history.${org}`;
  const [list, setList] = useState(() => readList(key));
  const put = (next) => {
    store(key, JSON.stringify(next));
    setList(next);
  };
  return {
    list,
    add: (one) => put([{ ...one, text: one.text.slice(0, KEPT_TEXT_MAX) }, ...readList(key).filter((other) => other.text !== one.text)].slice(0, HISTORY_MAX)),
    clear: () => put([]),
  };
}
