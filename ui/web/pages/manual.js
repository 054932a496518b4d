// The manual: Markdown files of this server, with contents, search, anchors and what comes next.
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { useQuery } from "../lib/query.js";
import { go } from "../lib/route.js";
import { Icon } from "../parts/icon.js";
import { Markdown, slug } from "../parts/markdown.js";
import { CodeBox } from "../parts/pop.js";
import { Empty, Loading, Problem } from "../parts/states.js";
import { CONTENTS, address, groups, sections } from "./manual/parse.js";
import { found, indexOf } from "./manual/search.js";

const LETTERS_MIN = 2;

export default function Manual({ rest }) {
  const page = rest[1] || CONTENTS;
  const contents = useQuery("manual/contents", () => text(CONTENTS));
  const list = useMemo(() => groups(contents.data ?? ""), [contents.data]);
  const [query, setQuery] = useState("");
  useEffect(() => setQuery(""), [page]);
  const title = list.flatMap((group) => group.pages).find((one) => one.name === page)?.title ?? "Manual";
  useEffect(() => { document.title = `${title} · Helicone Appliance`; }, [title]);
  return html`<div class="page manual" onClick=${(event) => follow(event, () => setQuery(""))}>
    <aside class="manual-side">
      <div class="search"><${Icon} name="search" /><input type="search" data-search placeholder="Search the manual" aria-label="Search the manual"
        value=${query} onInput=${(event) => setQuery(event.target.value)} onKeyDown=${(event) => event.key === "Escape" && setQuery("")} /></div>
      <${Contents} list=${list} page=${page} />
    </aside>
    ${contents.error && !contents.data ? html`<${Problem} error=${contents.error} again=${contents.reload} />`
      : query.trim().length >= LETTERS_MIN ? html`<${Results} list=${list} query=${query} />`
      : !contents.data ? html`<article><${Loading} /></article>`
      : isThere(list, page) ? html`<${Page} key=${page} page=${page} list=${list} />`
      : html`<article><${Empty} title="There is no such page"><a href="/docs/manual">Go to the contents</a><//></article>`}
  </div>`;
}

async function text(page) {
  const reply = await fetch(`/ui/manual/${encodeURIComponent(page)}.md`).catch(() => {
    throw new Error("The server cannot be reached. It may be restarting; try again.");
  });
  if (!reply.ok) throw new Error("This page cannot be loaded. Try again.");
  return reply.text();
}

const isThere = (list, page) => page === CONTENTS || list.some((group) => group.pages.some((one) => one.name === page));

/** Links within the manual keep what stands behind the #, which the menu's links have not. */
function follow(event, leaveSearch) {
  const link = event.target.closest?.("a[href]");
  if (!link || link.origin !== location.origin || !link.pathname.startsWith("/docs/manual")) return;
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  leaveSearch();
  if (!link.hash) return;
  event.preventDefault();
  if (link.pathname === location.pathname) history.pushState(null, "", link.href);
  else {
    go(link.pathname);
    history.replaceState(null, "", link.href);
  }
  show(link.hash);
}

/** Bring what the address names into view, if it is there. */
function show(hash) {
  const id = slug(decodeURIComponent(hash.slice(1)));
  const section = id && document.getElementById(id);
  if (!section) return;
  section.scrollIntoView();
  section.focus({ preventScroll: true });
}

function Contents({ list, page }) {
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [page]);
  return html`<button type="button" class="contents-button" aria-expanded=${open} onClick=${() => setOpen(!open)}>Contents <${Icon} name=${open ? "up" : "down"} /></button>
    <nav class=${open ? "contents open" : "contents"} aria-label="Contents of the manual">
      ${list.map((group) => html`<div key=${group.name}><div class="group">${group.name}</div>
        ${group.pages.map((one) => html`<a key=${one.name} href=${`/docs/manual/${one.name}`} title=${one.tells} aria-current=${one.name === page ? "page" : undefined}>${one.title}</a>`)}</div>`)}
      ${list.length > 0 && html`<div><div class="group">REST API</div><a href="/docs">Swagger UI</a></div>`}
    </nav>`;
}

function Page({ page, list }) {
  const query = useQuery(`manual/${page}`, () => text(page));
  const parts = useMemo(() => sections(query.data ?? ""), [query.data]);
  useEffect(() => {
    if (!parts.length) return undefined;
    show(location.hash);
    const back = () => show(location.hash);
    addEventListener("popstate", back);
    return () => removeEventListener("popstate", back);
  }, [parts]);
  if (query.error) return html`<article><${Problem} error=${query.error} again=${query.reload} /></article>`;
  if (!parts.length) return html`<article><${Loading} /></article>`;
  return html`<article class="stack">
    ${parts.map((section) => html`<${Section} key=${section.id} section=${section} page=${page} />`)}
    <${Ways} list=${list} page=${page} />
  </article>
  <${Here} parts=${parts} page=${page} />`;
}

function Section({ section, page }) {
  const link = (url) => address(url, page);
  const mark = section.level > 1 && html`<a class="anchor" href=${`/docs/manual/${page}#${section.id}`} aria-label=${`Link to ${section.title}`}>#</a>`;
  return html`<section id=${section.id} tabindex="-1" class="stack">
    ${heading(section.level, html`${section.title}${mark}`)}
    ${section.parts.map((part) => (part.code !== undefined ? html`<${CodeBox} text=${part.code} />` : html`<${Markdown} text=${part.text} link=${link} />`))}
  </section>`;
}

function heading(level, inner) {
  if (level === 1) return html`<h1>${inner}</h1>`;
  return level === 2 ? html`<h2>${inner}</h2>` : html`<h3>${inner}</h3>`;
}

/** Headings of this page, where there is room beside it. */
function Here({ parts, page }) {
  const least = parts.filter((part) => part.level === 2).length > 1 ? 2 : 3;
  const shown = parts.filter((part) => part.level === least);
  if (shown.length < 2) return null;
  return html`<nav class="manual-here" aria-label="On this page"><div class="group">On this page</div>
    ${shown.map((part) => html`<a key=${part.id} href=${`/docs/manual/${page}#${part.id}`}>${part.title}</a>`)}</nav>`;
}

/** The page before and the one behind, in the order of the contents. */
function Ways({ list, page }) {
  const all = [{ name: CONTENTS, title: "Manual" }, ...list.flatMap((group) => group.pages)];
  const at = all.findIndex((one) => one.name === page);
  const before = all[at - 1];
  const next = at >= 0 && all[at + 1];
  const href = (one) => (one.name === CONTENTS ? "/docs/manual" : `/docs/manual/${one.name}`);
  return html`<nav class="row apart manual-ways" aria-label="Pages before and after">
    ${before ? html`<a class="button" rel="prev" href=${href(before)}><${Icon} name="left" /> ${before.title}</a>` : html`<span />`}
    ${next && html`<a class="button" rel="next" href=${href(next)}>${next.title} <${Icon} name="right" /></a>`}</nav>`;
}

function Results({ list, query }) {
  const pages = useMemo(() => list.flatMap((group) => group.pages), [list]);
  const all = useQuery(pages.length ? "manual/all" : null, async () => {
    const texts = await Promise.all(pages.map((one) => text(one.name)));
    return indexOf(pages, Object.fromEntries(pages.map((one, number) => [one.name, texts[number]])));
  });
  const box = useRef(null);
  const hits = useMemo(() => found(all.data ?? [], query), [all.data, query]);
  if (all.error) return html`<article><${Problem} error=${all.error} again=${all.reload} /></article>`;
  if (!all.data) return html`<article><${Loading} what="Searching" /></article>`;
  if (!hits.length) return html`<article><${Empty} title="Nothing found">No part of the manual has ${query.trim().includes(" ") ? "all of these words" : "this word"}.<//></article>`;
  return html`<article class="stack" ref=${box} aria-live="polite"><h1>${hits.length === 1 ? "1 place" : `${hits.length} places`}</h1>
    <ol class="manual-hits">${hits.map((hit) => html`<li key=${`${hit.page}#${hit.id}`}>
      <a href=${`/docs/manual/${hit.page}${hit.id ? `#${hit.id}` : ""}`}>${hit.title}${hit.section && html` <span class="muted">›</span> ${hit.section}`}</a>
      <div class="muted small">${hit.excerpt}</div></li>`)}</ol></article>`;
}
