// Light, dark, or as the system says; kept in this browser.
const KEY = "theme";

/** What this browser keeps under a name; a browser that keeps nothing is no reason to fail. */
export function stored(name, fallback = "") {
  try { return localStorage.getItem(name) ?? fallback; } catch { return fallback; }
}

export function store(name, value) {
  try { localStorage.setItem(name, value); } catch { /* private windows keep nothing */ }
}

export const theme = () => stored(KEY);

export function applyTheme(value = theme()) {
  store(KEY, value);
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
  dispatchEvent(new Event("themechange"));
}

/** The next of: system, light, dark. */
export const nextTheme = (value = theme()) => ({ "": "light", light: "dark", dark: "" })[value] ?? "";

/** A colour of the stylesheet as it counts now, for what draws on a canvas. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  probe.hidden = true;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
