// What is around every page: the menu, the palette, the list of keys, short messages.
import { html, useEffect, useState } from "../lib/html.js";
import { post, setCsrf } from "../lib/api.js";
import { useKey, shortcuts } from "../lib/keys.js";
import { useQuery } from "../lib/query.js";
import { go, useRoute } from "../lib/route.js";
import { useSession } from "../lib/session.js";
import { PAGES } from "../pages.js";
import { Icon } from "./icon.js";
import { Palette } from "./palette.js";
import { Dialog, Toasts, toast } from "./pop.js";
import { Loading } from "./states.js";
import { applyTheme, nextTheme, theme } from "./theme.js";

const HEALTH_MS = 30_000;

export function Frame({ children }) {
  const [side, setSide] = useState(false);
  const [palette, setPalette] = useState(false);
  const [keys, setKeys] = useState(false);
  const route = useRoute();
  useEffect(() => setSide(false), [route.page]);
  useKey("Mod+k", () => setPalette(true), "Command palette", { always: true });
  useKey("?", () => setKeys(true), "This list");
  useKey("/", () => {
    const search = document.querySelector("[data-search]");
    if (!search) return false;
    search.focus();
    search.select?.();
    return true;
  }, "Focus the search");
  return html`<div class="frame">
    <div class="topline">
      <button type="button" class="plain icon-only" aria-label="Menu" aria-expanded=${side} onClick=${() => setSide(!side)}><${Icon} name="menu" /></button>
      <b>Helicone Appliance</b>
    </div>
    <${Side} open=${side} openPalette=${() => setPalette(true)} openKeys=${() => setKeys(true)} />
    <main id="main" tabindex="-1"><${Degraded} />${children}</main>
    ${palette && html`<${Palette} close=${() => setPalette(false)} />`}
    ${keys && html`<${Keys} close=${() => setKeys(false)} />`}
    <${Toasts} />
    ${PAGES.filter((page) => page.key).map((page) => html`<${GoKey} key=${page.id} page=${page} />`)}
  </div>`;
}

/** What is there before anything else is: as index.html has it, so that nothing jumps. */
export const Shell = () => html`<div class="frame">
  <div class="topline"><b>Helicone Appliance</b></div>
  <div class="side"><span class="brand"><img src="/ui/icon.svg" alt="" /><span>Helicone Appliance</span></span></div>
  <main><${Loading} /></main></div>`;

function GoKey({ page }) {
  useKey(page.key, () => go(`/${page.id}`), `Go to ${page.name}`);
  return null;
}

function Side({ open, openPalette, openKeys }) {
  const route = useRoute();
  const current = route.page || "dashboard";
  return html`<nav class=${open ? "side open" : "side"} aria-label="Pages">
    <a class="brand" href="/dashboard"><img src="/ui/icon.svg" alt="" /><span>Helicone Appliance</span></a>
    <div class="list-of-pages">${PAGES.map((page) => html`
      ${page.group && html`<div class="group">${page.group}</div>`}
      <a class="item" href=${`/${page.id}`} aria-current=${current === page.id ? "page" : undefined}>
        <${Icon} name=${page.id} /><span>${page.name}</span></a>`)}</div>
    <div class="foot">
      <a class="item" href="/start" aria-current=${current === "start" ? "page" : undefined}><${Icon} name="start" />Get started</a>
      <a class="item" href="/docs/manual" aria-current=${current === "docs" ? "page" : undefined}><${Icon} name="manual" />Manual</a>
      <button type="button" class="plain item" onClick=${openPalette}><${Icon} name="search" /><span class="grow">Find</span><kbd>Ctrl K</kbd></button>
      <${Account} openKeys=${openKeys} />
    </div>
  </nav>`;
}

function Account({ openKeys }) {
  const session = useSession();
  const [mode, setMode] = useState(theme());
  useEffect(() => {
    const changed = () => setMode(theme());
    addEventListener("themechange", changed);
    return () => removeEventListener("themechange", changed);
  }, []);
  const leave = async () => {
    try {
      await post("/v1/auth/sign-out");
      setCsrf("");
      location.assign("/sign-in");
    } catch (error) {
      toast(error.message, "bad");
    }
  };
  const name = session.user?.email ?? session.organization?.name ?? "This computer";
  return html`<div class="row tight">
    <span class="cut grow small muted" title=${name}>${name}</span>
    <button type="button" class="plain icon-only" title=${`Colours: ${mode || "as the system"}`} aria-label="Change colours" onClick=${() => applyTheme(nextTheme())}><${Icon} name="sun" /></button>
    <button type="button" class="plain icon-only" title="Keys (?)" aria-label="Keyboard shortcuts" onClick=${openKeys}>?</button>
    ${session.user && html`<button type="button" class="plain icon-only" title="Sign out" aria-label="Sign out" onClick=${leave}><${Icon} name="leave" /></button>`}
  </div>`;
}

/** One line when something does not work as it should: what, from /healthcheck. */
function Degraded() {
  const health = useQuery("health", async (signal) => {
    const reply = await fetch("/healthcheck", { signal });
    return reply.json();
  }, { every_ms: HEALTH_MS });
  const reasons = health.data?.reasons ?? [];
  if (health.error) return html`<div class="degraded" role="status">The server does not answer.</div>`;
  if (!reasons.length) return null;
  return html`<div class="degraded" role="status">${wordsOf(reasons[0])}${reasons.length > 1 && ` (and ${reasons.length - 1} more)`} · <a href="/health">Health</a></div>`;
}

const wordsOf = ({ part = "", reason = "", code = "", detail = "" }) => [part, detail || reason || code].filter(Boolean).join(": ");

const KEY_NAMES = { ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc" };
const keyName = (key) => KEY_NAMES[key] ?? key.replace("Mod+", "Ctrl ").replace(/\b\w$/, (letter) => (key.includes("+") ? letter.toUpperCase() : letter));

function Keys({ close }) {
  return html`<${Dialog} title="Keyboard" close=${close}>
    <dl class="facts">${shortcuts().map((one) => html`<dt><kbd>${keyName(one.key)}</kbd></dt><dd>${one.tells}</dd>`)}</dl><//>`;
}
