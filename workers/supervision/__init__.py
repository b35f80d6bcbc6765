"""The actor on the head: takes jobs on, sends their runners, sees each to its end, knows the hosts, keeps house.

Uses all rooms about jobs (`jobs`, `host`, `outputs`, `common`), never `datasets` or `sites`.
Used through `client` by the API, which also takes the types of `supervisor_answers`, and made by `launch`.
"""
