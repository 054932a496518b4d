// What is opened first and most often: loaded together.
export { default as dashboard } from "../pages/dashboard.js";
export { default as requests } from "../pages/requests.js";
export { default as sessions } from "../pages/sessions.js";
export { default as start } from "../pages/start.js";
