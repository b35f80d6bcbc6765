"""The Ray Serve deployments (`api`, `sites`, `datasets`), the ways to them, and where they run.

`interfaces` says what sites and datasets can be asked; the API asks through `sites_client`, `datasets_client`, `calls`
and `pipe`. `placing` chooses the node and the copy of the code, `renewal` deploys the application once more where Serve
would not. Of ours it imports only `workers`; `serve_app` uses it.
"""
