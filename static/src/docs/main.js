import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";

const base = document.documentElement.dataset.base ?? "/";

SwaggerUI({
  url: `${base}openapi.json`,
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  // Nothing is asked of anybody but this server.
  validatorUrl: null,
});
