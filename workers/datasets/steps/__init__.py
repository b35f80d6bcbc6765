"""From readings to complete columns: bins, filled gaps, sessions of cars, clocks, prices and weather ahead.

It may use measures, reading and `workers.common`, and takes the type of documents from `workers.sites`.
The plan, files and builds use it.
"""
