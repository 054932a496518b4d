// The manual, which loads nothing of the other pages.
export { default as docs } from "../pages/manual.js";
