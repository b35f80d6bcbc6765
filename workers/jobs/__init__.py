"""What a job is: the request for one, its record and states on the disk, and what its runner is given.

Uses `common`; starts nothing and asks nobody. Used by `host` (the plain data of `spec`), `outputs` and `supervision`.
"""
