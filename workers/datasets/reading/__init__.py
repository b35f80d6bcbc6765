"""From stored documents to readings: which documents a time window has, and the values that they hold.

It may use measures, `workers.sites` and `workers.common`.
Steps and builds use it; the schema file takes the names of cars from it, and the deployment the type of a site's dates.
"""
