"""Sites: MongoDB databases of buildings, read as streams in the order of time, with the schema that describes each.

It may use `workers.common`, pymongo, bson and orjson; nothing of jobs, hosts or datasets.
The deployments, the API's routes of sites and `workers.datasets` use it; logs and settings take instants and options
from it.
"""
