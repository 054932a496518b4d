// What lies above the page: dialogs, menus, short messages, and copying with a word about it.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { Icon } from "./icon.js";

let tell = () => {};

/** A short message at the corner: toast("Saved"), toast("It did not work", "bad"). */
export const toast = (text, tone = "") => tell(text, tone);

const TOAST_MS = 4000;

/** Where short messages appear; once, in the frame. */
export function Toasts() {
  const [shown, setShown] = useState([]);
  useEffect(() => {
    tell = (text, tone) => {
      const one = { text, tone, id: Math.random() };
      setShown((all) => [...all.slice(-3), one]);
      setTimeout(() => setShown((all) => all.filter((other) => other !== one)), TOAST_MS);
    };
    return () => { tell = () => {}; };
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown.map((one) => html`<div key=${one.id} class=${`toast ${one.tone}`}>${one.text}</div>`)}</div>`;
}

/** A modal dialog. Esc and the cross call `close`. */
export function Dialog({ title, close, children, wide = false }) {
  const box = useRef(null);
  useLayoutEffect(() => { // at once: what is typed next is meant for it
    const dialog = box.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const backdrop = (event) => { if (event.target === box.current) close(); };
  return html`<dialog ref=${box} aria-label=${title} onCancel=${(event) => { event.preventDefault(); close(); }}
      onMouseDown=${backdrop} class=${wide ? "wide" : ""}>
    <header><h2>${title}</h2>
      <button type="button" class="plain icon-only" aria-label="Close" onClick=${close}><${Icon} name="close" /></button>
    </header>${children}</dialog>`;
}

/** Ask before something that cannot be taken back. */
export function Confirm({ title, children, act, close, verb = "Delete", busy = false, error = null }) {
  return html`<${Dialog} title=${title} close=${close}>
    <div class="stack"><div>${children}</div>
      ${error && html`<p class="notice bad" role="alert">${error.message}</p>`}
      <div class="row"><button type="button" class="danger" disabled=${busy} onClick=${act}>${verb}</button>
        <button type="button" onClick=${close}>Cancel</button></div></div><//>`;
}

/** A button with a list below it, which closes when something else is touched. */
export function Menu({ label, children, icon, text, start = false, plain = false }) {
  const [open, setOpen] = useState(false);
  const box = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event) => { if (!box.current?.contains(event.target)) setOpen(false); };
    const escape = (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      setOpen(false);
      box.current?.querySelector("button")?.focus();
    };
    document.addEventListener("mousedown", outside);
    document.addEventListener("keydown", escape, true);
    return () => {
      document.removeEventListener("mousedown", outside);
      document.removeEventListener("keydown", escape, true);
    };
  }, [open]);
  return html`<div class=${start ? "menu start" : "menu"} ref=${box}>
    <button type="button" aria-label=${label} aria-expanded=${open} aria-haspopup="true"
        class=${`${plain ? "plain " : ""}${text ? "" : "icon-only"}`} onClick=${() => setOpen(!open)}>
      ${icon && html`<${Icon} name=${icon} />`}${text && html`<span class="word">${text}</span>`}
    </button>
    ${open && html`<div class="pop">${typeof children === "function" ? children(() => setOpen(false)) : children}</div>`}
  </div>`;
}

/** Put a text on the clipboard, and say so. */
export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea"); // without TLS there is no clipboard to ask
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(what);
}

/** A text to be copied, with the button for it. */
export const CodeBox = ({ text, label = "Copy" }) => html`<div class="code-box">
  <pre class="code" tabindex="0">${text}</pre>
  <button type="button" class="icon-only" aria-label=${label} title=${label} onClick=${() => copy(text)}><${Icon} name="copy" /></button>
</div>`;
