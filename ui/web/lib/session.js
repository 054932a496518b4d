// Who is signed in, for everything that is shown by it.
import { createContext, useContext } from "./html.js";
import { get, setCsrf } from "./api.js";

export const Session = createContext(null);

/** {user, organization, role, …} as GET /v1/auth/session says. */
export const useSession = () => useContext(Session);

export async function loadSession() {
  const session = await get("/v1/auth/session");
  setCsrf(session?.csrf_token);
  return session;
}

/** Whether this person may: "write" adds to records, "manage" changes what is kept, "configure"
 *  settings and keys, "govern" who belongs here, which takes a person. The server decides; this only
 *  hides what it would refuse. */
export function may(session, what) {
  const role = roleOf(session);
  if (what === "write" || what === "manage") return role !== "viewer";
  if (what === "govern" && !session?.user) return false;
  return role === "owner" || role === "admin";
}

/** Who came with a key has no role, and may as much as the key. */
function roleOf(session) {
  if (session?.role) return session.role;
  if (session?.open) return "owner";
  if (session?.user) return "member";
  return session?.permission === "rw" ? "admin" : "viewer";
}
