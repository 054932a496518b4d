// The command palette: pages, and a request by its id.
import { html, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { go, href } from "../lib/route.js";
import { OTHERS, PAGES } from "../pages.js";
import { Icon } from "./icon.js";
import { applyTheme, nextTheme } from "./theme.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function commands(text) {
  const found = [];
  const wanted = text.trim();
  if (UUID.test(wanted)) {
    found.push({ name: `Open request ${wanted}`, icon: "requests", act: () => go(href("requests", [], { id: wanted })) });
  }
  const all = [
    ...[...PAGES, ...OTHERS].map((page) => ({
      name: page.name, icon: page.id === "docs" ? "manual" : page.id,
      act: () => go(page.id === "docs" ? "/docs/manual" : `/${page.id}`),
    })),
    { name: "Errors of the last day", icon: "requests", act: () => go(href("requests", [], { q: "status >= 400", range: "24h" })) },
    { name: "Change colours", icon: "sun", act: () => applyTheme(nextTheme()) },
    { name: "REST API (Swagger UI)", icon: "manual", act: () => location.assign("/docs") },
  ];
  const words = wanted.toLowerCase().split(/\s+/);
  found.push(...all.filter((one) => words.every((word) => one.name.toLowerCase().includes(word))));
  if (wanted && !UUID.test(wanted)) {
    found.push({ name: `Search requests for “${wanted}”`, icon: "search", act: () => go(href("requests", [], { q: `body ~ "${wanted.replace(/[\\"]/g, "\\$&")}"` })) });
  }
  return found;
}

export function Palette({ close }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const box = useRef(null);
  const found = useMemo(() => commands(text), [text]);
  useLayoutEffect(() => { // before the next key
    box.current.showModal();
    return () => box.current?.close();
  }, []);
  const run = (one) => {
    close();
    one?.act();
  };
  const key = (event) => {
    if (event.key === "ArrowDown") setAt((at + 1) % found.length);
    else if (event.key === "ArrowUp") setAt((at - 1 + found.length) % found.length);
    else if (event.key === "Enter") run(found[at]);
    else return;
    event.preventDefault();
  };
  return html`<dialog ref=${box} class="palette" aria-label="Command palette" onCancel=${(event) => { event.preventDefault(); close(); }}
      onMouseDown=${(event) => { if (event.target === box.current) close(); }}>
    <input role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant=${`palette-${at}`} autofocus
      placeholder="Go to a page, open a request by its id, search" aria-label="Command" value=${text}
      onInput=${(event) => { setText(event.target.value); setAt(0); }} onKeyDown=${key} />
    <ul id="palette-list" role="listbox">${found.map((one, number) => html`
      <li key=${one.name} id=${`palette-${number}`} role="option" aria-selected=${number === at} onMouseMove=${() => setAt(number)} onClick=${() => run(one)}>
        <${Icon} name=${one.icon} />${one.name}</li>`)}</ul></dialog>`;
}
