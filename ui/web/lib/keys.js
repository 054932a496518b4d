// Keys that do something: one listener, the newest binding first, nothing while somebody types.
import { useEffect, useRef } from "./html.js";

const bindings = [];

/** All that count now, for the list behind `?`. */
export const shortcuts = () => bindings.filter((one) => one.tells);

const isTyping = (target) =>
  target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const name = `${event.ctrlKey || event.metaKey ? "Mod+" : ""}${event.key}`;
  for (let at = bindings.length - 1; at >= 0; at -= 1) {
    const one = bindings[at];
    if (one.key !== name || (isTyping(event.target) && !one.always)) continue;
    if (document.querySelector("dialog[open]") && !one.always) continue;
    if (one.act.current(event) === false) continue;
    event.preventDefault();
    return;
  }
});

/** Bind a key while the component is shown: useKey("/", act, "Search"). `always`: also while
 *  typing. `act` may return false to let the next binding have it. */
export function useKey(key, act, tells = "", { always = false } = {}) {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const one = { key, tells, always, act: latest };
    bindings.push(one);
    return () => { bindings.splice(bindings.indexOf(one), 1); };
  }, [key, tells, always]);
}
