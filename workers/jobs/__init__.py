"""What a job is: the request for one, its record and states on the disk, and what its runner is given.

Uses `common` and yaml; starts nothing and asks nobody. Used by `host` (the plain data of `spec` and `events`),
`outputs`, `supervision` and the API (`request`, `records`, `experiment_configs`).
"""
