// The one place that knows the view library: everything else imports from here.
import { h, render, Fragment, createContext } from "preact";
import htm from "htm";

export {
  useCallback, useContext, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "preact/hooks";
export const html = htm.bind(h);
export { h, render, Fragment, createContext };

/** Class names that count: cls("row", isOpen && "open"). */
export const cls = (...names) => names.filter(Boolean).join(" ");
