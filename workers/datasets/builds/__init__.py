"""Builds: runs that make a dataset, from the request to the folder, as Ray Data tasks; their registry.

It may use all rooms of datasets, `workers.sites` and `workers.common`.
The datasets deployment and its client use it, and the settings take its options; nothing in `workers` does.
"""
