"""Sites: MongoDB databases of buildings, read as streams in the order of time, with the schema that describes each.

Uses `common` and pymongo; one client a process. Used by the sites deployment and by `datasets`.
"""
