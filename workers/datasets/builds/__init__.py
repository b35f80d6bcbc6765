"""Builds: runs that make a dataset, from the request to the folder, as Ray Data tasks; their registry.

It may use all rooms.
The datasets deployment uses it; nothing in `workers` does.
"""
