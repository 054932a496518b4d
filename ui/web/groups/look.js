// What is opened first and most often, and the manual, which is mostly made of what these load: one file.
export { default as dashboard } from "../pages/dashboard.js";
export { default as requests } from "../pages/requests.js";
export { default as sessions } from "../pages/sessions.js";
export { default as start } from "../pages/start.js";
export { default as docs } from "../pages/manual.js";
