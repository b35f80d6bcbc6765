"""What runs the work: jobs, their containers and results, sites and datasets. Knows nothing of HTTP.

Rooms, each using only those below it (`lint-imports` checks it): `supervision`, `outputs`, then `datasets` and `host`,
then `sites` and `jobs`, then `common`.
"""
