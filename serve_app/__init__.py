"""The HTTP surface: settings, models, routers and the mapping of errors to answers."""
