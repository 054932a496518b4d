// Every page: its name in the address, in the menu, and the module that shows it, loaded when asked.
export const PAGES = [
  { id: "dashboard", name: "Dashboard", key: "d" },
  { id: "requests", name: "Requests", key: "r" },
  { id: "sessions", name: "Sessions", key: "s" },
  { id: "users", name: "Users", group: "Segments", key: "u" },
  { id: "properties", name: "Properties" },
  { id: "cache", name: "Cache" },
  { id: "sql", name: "SQL", key: "q" },
  { id: "prompts", name: "Prompts", group: "Improve", key: "p" },
  { id: "playground", name: "Playground" },
  { id: "datasets", name: "Datasets" },
  { id: "limits", name: "Rate limits", group: "Monitor" },
  { id: "alerts", name: "Alerts" },
  { id: "webhooks", name: "Webhooks" },
  { id: "providers", name: "Providers", group: "Settings" },
  { id: "keys", name: "Keys", key: "k" },
  { id: "wallet", name: "Wallet" },
  { id: "organization", name: "Organisation" },
  { id: "health", name: "Health" },
];
/** Pages that are not in the menu's list. */
export const OTHERS = [
  { id: "start", name: "Get started" },
  { id: "docs", name: "Manual" },
];
const BY_ID = Object.fromEntries([...PAGES, ...OTHERS].map((page) => [page.id, page]));

export const pageOf = (id) => BY_ID[id];

/** Whether an address of this first segment is shown here. "" is the first page. /docs itself is
 *  Swagger UI; the manual lies below /docs/manual. */
export const isOurs = (id, rest = []) => id === "" || (id === "docs" ? rest[0] === "manual" : id in BY_ID);

/** The page's module; its default export is the component, called with {rest, params}. */
export const loadPage = (id) => import(`./pages/${id === "docs" ? "manual" : id}.js`);
