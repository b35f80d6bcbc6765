"""Datasets that exist, as folders on the shared storage: listed, described, previewed, zipped, replaced, removed.

It may use files and all rooms below it.
Builds and the HTTP routes of datasets use it.
"""
