"""Sites: MongoDB databases of buildings, read as streams in the order of time, with the schema that describes each.

It may use `workers.common`, pymongo and bson; nothing of jobs, hosts or datasets.
The sites deployment and `workers.datasets` use it; logs and settings take instants and options from it.
"""
