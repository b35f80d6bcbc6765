"""From readings to complete columns: bins, filled gaps, sessions of cars, clocks, prices and weather ahead.

It may use measures and reading.
The plan, files and builds use it.
"""
