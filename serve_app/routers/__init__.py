"""The routes, by what they are about. A route checks names, calls one thing and shapes the answer."""

from serve_app import paths

paths.install()
