"""From stored documents to readings: which documents a time window has, and the values that they hold.

It may use measures and `workers.sites`.
Steps and builds use it; the schema file takes the names of cars from it.
"""
