// Every page: its name in the address, in the menu, and the group of modules it is loaded with when asked.
// Few groups, as each file costs a round trip, and compresses the less the smaller it is.
const look = () => import("./groups/look.js");
const study = () => import("./groups/study.js");
const manage = () => import("./groups/manage.js");

export const PAGES = [
  { id: "dashboard", name: "Dashboard", key: "d", load: look },
  { id: "requests", name: "Requests", key: "r", load: look },
  { id: "sessions", name: "Sessions", key: "s", load: look },
  { id: "users", name: "Users", group: "Segments", key: "u", load: study },
  { id: "properties", name: "Properties", load: study },
  { id: "cache", name: "Cache", load: study },
  { id: "sql", name: "SQL", key: "q", load: study },
  { id: "prompts", name: "Prompts", group: "Improve", key: "p", load: study },
  { id: "playground", name: "Playground", load: study },
  { id: "datasets", name: "Datasets", load: study },
  { id: "limits", name: "Rate limits", group: "Monitor", load: manage },
  { id: "alerts", name: "Alerts", load: manage },
  { id: "webhooks", name: "Webhooks", load: manage },
  { id: "providers", name: "Providers", group: "Settings", load: manage },
  { id: "keys", name: "Keys", key: "k", load: manage },
  { id: "wallet", name: "Wallet", load: manage },
  { id: "organization", name: "Organisation", load: manage },
  { id: "health", name: "Health", load: manage },
];
/** Pages that are not in the menu's list. */
export const OTHERS = [
  { id: "start", name: "Get started", load: look },
  { id: "docs", name: "Manual", load: look },
];
const BY_ID = Object.fromEntries([...PAGES, ...OTHERS].map((page) => [page.id, page]));

export const pageOf = (id) => BY_ID[id];

/** Whether an address of this first segment is shown here. "" is the first page. /docs itself is
 *  Swagger UI; the manual lies below /docs/manual. */
export const isOurs = (id, rest = []) => id === "" || (id === "docs" ? rest[0] === "manual" : id in BY_ID);

/** The page's component, called with {rest, params}. */
export const loadPage = async (id) => (await BY_ID[id].load())[id];
