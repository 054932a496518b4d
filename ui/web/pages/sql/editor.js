// A place to write SQL: a textarea over its own coloured copy, with words offered at the caret.
import { html, useLayoutEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { completions, tokens } from "./words.js";

/** `change(text)` on every change; `run(part)` for Ctrl+Enter with what is selected, or "". */
export function Editor({ text, change, run, tables }) {
  const area = useRef(null);
  const copy = useRef(null);
  const [offer, setOffer] = useState(null);
  const parts = useMemo(() => tokens(text), [text]);
  const look = (asked) => {
    const node = area.current;
    const found = node.selectionStart === node.selectionEnd ? completions(node.value, node.selectionStart, tables, { asked }) : null;
    setOffer(found && { ...found, at: 0, moved: false, caret: node.selectionStart });
  };
  const take = (one) => {
    const node = area.current;
    node.focus();
    node.setSelectionRange(offer.from, offer.caret);
    if (!document.execCommand("insertText", false, one.put)) node.setRangeText(one.put, offer.from, offer.caret, "end"); // with this, undo works
    change(node.value);
    setOffer(null);
  };
  const key = (event) => {
    if (event.isComposing) return;
    const isMod = event.ctrlKey || event.metaKey;
    if (isMod && event.key === "Enter") {
      event.preventDefault();
      setOffer(null);
      run(area.current.value.slice(area.current.selectionStart, area.current.selectionEnd));
    } else if (isMod && event.key === " ") {
      event.preventDefault();
      look(true);
    } else if (offer) offered(event, { offer, setOffer, take });
  };
  return html`<div class="sql-writing"><div class="sql-editor">
    <pre ref=${copy} aria-hidden="true">${parts.map(([kind, part]) => (kind ? html`<span class=${`sql-${kind}`}>${part}</span>` : part))}${"\n"}</pre>
    <textarea ref=${area} aria-label="SQL" spellcheck=${false} autocomplete="off" autocapitalize="off" value=${text} aria-autocomplete="list"
      aria-controls=${offer ? "sql-offers" : undefined} aria-activedescendant=${offer ? `sql-offer-${offer.at}` : undefined}
      placeholder="select model, count(*) as requests from request_response_rmt group by 1"
      onInput=${(event) => { change(event.target.value); look(false); }} onKeyDown=${key} onBlur=${() => setOffer(null)} onClick=${() => setOffer(null)} /></div>
    ${offer && html`<${Offers} offer=${offer} copy=${copy} take=${take} />`}</div>`;
}

/** Arrows move, Tab takes; Enter takes only what was moved to, else it is a new line. */
function offered(event, { offer, setOffer, take }) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) setOffer({ ...offer, moved: true, at: (offer.at + step + offer.found.length) % offer.found.length });
  else if (event.key === "Tab" || (event.key === "Enter" && offer.moved)) take(offer.found[offer.at]);
  else if (event.key === "Escape") { setOffer(null); event.stopPropagation(); }
  else {
    if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) setOffer(null);
    return;
  }
  event.preventDefault();
}

function Offers({ offer, copy, take }) {
  const box = useRef(null);
  useLayoutEffect(() => {
    const at = placeOf(copy.current, offer.from);
    if (!at || !box.current) return;
    const frame = box.current.offsetParent.getBoundingClientRect(); // not what scrolls: it would cut words off
    const below = innerHeight - at.bottom > 240;
    box.current.style.left = `${Math.max(0, Math.min(at.left - frame.left, frame.width - box.current.offsetWidth))}px`;
    box.current.style.top = below || at.top < 260 ? `${at.bottom - frame.top + 4}px` : `${at.top - frame.top - box.current.offsetHeight - 4}px`;
  }, [offer.from, offer.found.length]);
  return html`<div ref=${box} class="suggest sql-offers" id="sql-offers" role="listbox" aria-label="Words that fit">
    ${offer.found.map((one, at) => html`<div key=${one.kind + one.name} id=${`sql-offer-${at}`} role="option" aria-selected=${at === offer.at}
      onMouseDown=${(event) => { event.preventDefault(); take(one); }}><code>${one.name}</code><span class="muted small cut">${one.tells}</span></div>`)}</div>`;
}

/** Where a character of the coloured copy is on the screen. */
function placeOf(root, offset) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let left = offset;
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (left < node.data.length) {
      const range = document.createRange();
      range.setStart(node, left);
      range.setEnd(node, left + 1);
      return range.getClientRects()[0];
    }
    left -= node.data.length;
  }
  return null;
}
