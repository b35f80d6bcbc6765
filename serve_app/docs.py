"""The documentation page, served whole from here: machines of a site need no way to a content delivery network."""

from typing import Final

from fastapi import FastAPI
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

# Addresses are relative, so that the page works behind a proxy that adds a prefix. This Swagger UI knows OpenAPI 3.0
# and refuses to look at a document that says 3.1; the parts of 3.1 that occur here it shows well enough, so the page
# tells it 3.0. `/openapi.json` itself says what is true.
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="icon" href="docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script>
fetch("openapi.json").then((answer) => answer.json()).then((spec) => {{
  spec.openapi = "3.0.3";
  spec.servers = [{{url: "."}}];
  SwaggerUIBundle({{spec, dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null}});
}});
</script>
</body>
</html>
"""


def install(app: FastAPI) -> None:
    """Add `/docs` to `app`."""
    page = _PAGE.format(title=app.title)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page)

    app.mount("/docs/assets", StaticFiles(directory=swagger_ui_path), name="docs-assets")
