// The one place that knows the view library: everything else imports from here.
import { h, render, Fragment, createContext } from "../vendor/preact/preact.module.js";
import htm from "../vendor/htm/htm.module.js";

export {
  useCallback, useContext, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "../vendor/preact/hooks.module.js";
export const html = htm.bind(h);
export { h, render, Fragment, createContext };

/** Class names that count: cls("row", isOpen && "open"). */
export const cls = (...names) => names.filter(Boolean).join(" ");
