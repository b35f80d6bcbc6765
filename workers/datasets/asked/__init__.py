"""What is to be made: a dataset request, and the site's schema with its buildings and their devices.

It may use measures, `workers.sites` and `workers.common`; reading and steps lie below it too.
The plan, files and builds use it.
"""
