// Calls of the REST API: the envelope taken off, errors as one kind, the token for changes added.

/** What the server refused, or that it could not be reached. `status` 0: no answer came. */
export class ApiError extends Error {
  constructor(status, message, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let csrf = "";
let onSignedOut = () => {};

/** The token of GET /v1/auth/session, for every change from now on. */
export const setCsrf = (token) => { csrf = token || ""; };

/** What a change has to carry, for calls that are not made by `call`. */
export const csrfHeaders = () => (csrf ? { "x-csrf-token": csrf } : {});

/** What to do when the session has ended meanwhile. */
export const whenSignedOut = (act) => { onSignedOut = act; };

/** One call. Gives `data` of the envelope, or the whole answer where there is none.
 *  With `whole` the envelope itself, for what lies beside the data (total, next_cursor). */
export async function call(method, path, body, { signal, whole = false } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (csrf && method !== "GET") headers["x-csrf-token"] = csrf;
  let reply;
  try {
    reply = await fetch(path, {
      method, headers, signal, credentials: "same-origin",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached. It may be restarting; try again.");
  }
  const text = await reply.text();
  let value = text;
  try { value = text ? JSON.parse(text) : null; } catch { /* plain text it is */ }
  if (!reply.ok) {
    if (reply.status === 401) onSignedOut();
    throw new ApiError(reply.status, messageOf(value, reply.status), value?.code || value?.error?.code);
  }
  const isEnvelope = value !== null && typeof value === "object" && "data" in value && "error" in value;
  if (isEnvelope && value.error) throw new ApiError(reply.status, String(value.error));
  return isEnvelope && !whole ? value.data : value;
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body, options) => call("POST", path, body ?? {}, options);
export const put = (path, body) => call("PUT", path, body ?? {});
export const patch = (path, body) => call("PATCH", path, body ?? {});
export const remove = (path, body) => call("DELETE", path, body);

function messageOf(value, status) {
  const error = value?.error ?? value;
  if (typeof error === "string" && error) return error.length > 600 ? `${error.slice(0, 600)}…` : error;
  if (typeof error?.message === "string") return error.message;
  if (typeof value?.detail === "string") return value.detail;
  return `The server answered ${status}.`;
}

/** Lets the browser save what a GET gives. */
export function download(path) {
  const link = document.createElement("a");
  link.href = path;
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}

/** Lets the browser save a text that is here already. */
export function saveText(name, text, type = "text/plain") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
