"""What works beside a Docker engine: the runner of an attempt, the host's agent, containers, images, the log's copy.

Travels to its machine by value, so it uses the standard library, `ray`, `docker` with the `requests` and `urllib3` that
come with it, and of ours `common` and the types of `jobs` (`spec`, `events`).
Sent by `supervision`; `outputs` reads the log files that it writes.
"""
