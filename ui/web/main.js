// The start: who is signed in, then the frame with the page that the address names.
import { html, render, useEffect, useState } from "./lib/html.js";
import { post, whenSignedOut } from "./lib/api.js";
import { catchLinks, go, read, useRoute } from "./lib/route.js";
import { Session, loadSession } from "./lib/session.js";
import { isOurs, loadPage, pageOf } from "./pages.js";
import { Frame, Shell } from "./parts/frame.js";
import { Empty, Guarded, Loading, Problem } from "./parts/states.js";
import { applyTheme } from "./parts/theme.js";

const HOME = "dashboard";

let early = loadSession(); // before anything is drawn
early.catch(() => {}); // said where it is shown

function App() {
  const [session, setSession] = useState(undefined);
  const [error, setError] = useState(null);
  const load = () => {
    setError(null);
    (early ?? loadSession()).then(async (found) => {
      if ((found.signed_in || found.open) && !read().page) await home();
      setSession(found);
    }).catch(setError);
    early = null;
  };
  useEffect(load, []);
  useEffect(() => whenSignedOut(load), []);
  const isIn = session && (session.signed_in || session.open);
  useEffect(() => {
    if (session && !isIn) location.assign("/sign-in");
  }, [session]);
  if (error) return html`<div class="page"><${Problem} error=${error} again=${load} /></div>`;
  if (!isIn) return html`<${Shell} />`;
  return html`<${Session.Provider} value=${{ ...session, reload: load, role: session.organization?.role ?? "" }}>
    <${Frame}><${Page} key=${session.organization?.id} /><//><//>`;
}

function Page() {
  const route = useRoute();
  const id = route.page || HOME;
  const [shown, setShown] = useState({});
  const found = isOurs(route.page, route.rest) && pageOf(id);
  useEffect(() => {
    if (!found) return undefined;
    let counts = true;
    document.title = `${found.name} · Helicone Appliance`;
    loadPage(id).then(
      (View) => counts && setShown({ id, View }),
      () => counts && setShown({ id, error: new Error("This page could not be loaded. The server may be restarting; try again.") }),
    );
    return () => { counts = false; };
  }, [id, Boolean(found)]);
  if (!found) {
    return html`<div class="page"><${Empty} title="There is no such page">
      <a href="/dashboard">Go to the dashboard</a><//></div>`;
  }
  if (shown.error && shown.id === id) return html`<div class="page"><${Problem} error=${shown.error} again=${reload} /></div>`;
  if (shown.id !== id) return html`<${Loading} />`;
  return html`<${Guarded} key=${id}><${shown.View} rest=${route.rest} params=${route.params} /><//>`;
}

/** Load everything anew, once the server answers: a browser's own error page would stay. */
const reload = () => fetch("/healthcheck").then(() => location.reload(), () => {});

/** The dashboard; before anything was recorded, the first steps. */
async function home() {
  const count = await post("/v1/request/count/query", { filter: "all" }).catch(() => 1);
  go(count ? `/${HOME}` : "/start", { replace: true });
}

applyTheme();
catchLinks(isOurs);
const root = document.getElementById("app");
root.textContent = "";
render(html`<${App} />`, root);
