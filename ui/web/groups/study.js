// Pages that ask more of what was recorded, or make something of it: loaded together.
export { default as users } from "../pages/users.js";
export { default as properties } from "../pages/properties.js";
export { default as cache } from "../pages/cache.js";
export { default as sql } from "../pages/sql.js";
export { default as prompts } from "../pages/prompts.js";
export { default as playground } from "../pages/playground.js";
export { default as datasets } from "../pages/datasets.js";
