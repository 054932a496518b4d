// Rules, notices and settings: loaded together.
export { default as limits } from "../pages/limits.js";
export { default as alerts } from "../pages/alerts.js";
export { default as webhooks } from "../pages/webhooks.js";
export { default as providers } from "../pages/providers.js";
export { default as keys } from "../pages/keys.js";
export { default as wallet } from "../pages/wallet.js";
export { default as organization } from "../pages/organization.js";
export { default as health } from "../pages/health.js";
