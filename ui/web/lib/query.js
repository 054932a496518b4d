// What is shown of the server's data: kept while the next answer is on its way, dropped when unused.
import { useEffect, useRef, useState } from "./html.js";

const KEPT_MAX = 40;
const kept = new Map();

function keep(key, data) {
  kept.delete(key);
  kept.set(key, data);
  if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value);
}

/** Forget answers whose key begins so: they were changed. */
export function forget(prefix = "") {
  for (const key of [...kept.keys()]) if (key.startsWith(prefix)) kept.delete(key);
}

/** Ask with `ask(signal)` whenever `key` changes; null asks nothing. An answer from before is shown
 *  at once and replaced. Gives {data, error, loading, reload}. */
export function useQuery(key, ask, { every_ms = 0 } = {}) {
  const [state, setState] = useState({ key: null, data: undefined, error: null });
  const [turn, setTurn] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    if (key === null) return undefined;
    const control = new AbortController();
    setState((before) => ({
      key, error: null, data: kept.get(key) ?? (before.key === key ? before.data : undefined),
    }));
    latest.current(control.signal).then(
      (data) => {
        if (control.signal.aborted) return;
        keep(key, data);
        setState({ key, data, error: null, done: true });
      },
      (error) => {
        if (control.signal.aborted || error.name === "AbortError") return;
        setState((before) => ({ ...before, error, done: true }));
      },
    );
    return () => control.abort();
  }, [key, turn]);
  useEffect(() => {
    if (!every_ms) return undefined;
    const timer = setInterval(() => { if (!document.hidden) setTurn((n) => n + 1); }, every_ms);
    return () => clearInterval(timer);
  }, [every_ms]);
  const mine = state.key === key;
  return {
    data: mine ? state.data : key === null ? undefined : kept.get(key),
    error: mine ? state.error : null,
    loading: key !== null && (!mine || !state.done),
    reload: () => setTurn((n) => n + 1),
  };
}

/** An act of the user, once at a time. Gives [run, {busy, error}]; `run` gives true when it worked. */
export function useAct(act) {
  const [state, setState] = useState({ busy: false, error: null });
  const run = async (...values) => {
    if (state.busy) return false;
    setState({ busy: true, error: null });
    try {
      await act(...values);
      setState({ busy: false, error: null });
      return true;
    } catch (error) {
      setState({ busy: false, error });
      return false;
    }
  };
  return [run, state];
}
