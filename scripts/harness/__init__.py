"""A stack of its own with an API client, images, jobs and sites, for tests and benchmarks."""
