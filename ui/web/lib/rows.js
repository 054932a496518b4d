// A long list of equally high rows of which only those in view are drawn, with a cursor for the
// keyboard: a million rows cost what fifty do.
import { useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const BEYOND = 8;

/** `count` rows of `height` px in a box that scrolls. Gives `box`, the ref of that box; the rows
 *  from `first` to before `last` to draw; `cursor`, -1 for none; `show(at)`, which scrolls there;
 *  and `key(event)`, for the box: arrows, Page Up and Down, Home and End move the cursor, other
 *  keys go to `act(key, cursor)`, which gives false where it does not know them. */
export function useRows({ count, height, act }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [cursor, setCursor] = useState(-1);
  useEffect(() => setCursor(-1), [count === 0]);
  useLayoutEffect(() => {
    const node = box.current;
    const seen = () => setView({ top: node.scrollTop, height: node.clientHeight });
    const watcher = new ResizeObserver(seen);
    watcher.observe(node);
    node.addEventListener("scroll", seen, { passive: true });
    seen();
    return () => { watcher.disconnect(); node.removeEventListener("scroll", seen); };
  }, []);
  const show = (at) => {
    if (at < 0) return;
    const top = at * height;
    const node = box.current;
    const lowest = top + 3 * height - node.clientHeight; // below the head, and with a row to spare
    if (top < node.scrollTop) node.scrollTop = top;
    else if (lowest > node.scrollTop) node.scrollTop = lowest;
  };
  const key = (event) => {
    if (event.target !== box.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(view.height / height) - 2);
    const to = { ArrowDown: cursor + 1, ArrowUp: cursor - 1, Home: 0, End: count - 1, PageDown: cursor + page, PageUp: cursor - page }[event.key];
    if (to !== undefined) {
      const at = Math.max(0, Math.min(count - 1, to));
      setCursor(at);
      show(at);
    } else if (cursor < 0 || cursor >= count || act(event.key, cursor) === false) return;
    event.preventDefault();
    event.stopPropagation();
  };
  return {
    box, cursor, show, key,
    first: Math.max(0, Math.min(count, Math.floor(view.top / height)) - BEYOND),
    last: Math.min(count, Math.ceil((view.top + view.height) / height) + BEYOND),
  };
}
