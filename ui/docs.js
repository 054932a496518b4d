// Starts Swagger UI over this server's own document. A change that is tried from the page needs the
// token of the session, where somebody is signed in (X-CSRF-Token).
const token = fetch("/v1/auth/session")
  .then((reply) => reply.json())
  .then((told) => told.data.csrf_token)
  .catch(() => "");

window.SwaggerUIBundle({
  url: "/download/swagger.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: async (request) => {
    const csrf = await token;
    if (csrf && new URL(request.url, location.href).origin === location.origin) {
      request.headers["X-CSRF-Token"] = csrf;
    }
    return request;
  },
});
