"""What runs the work: job supervision, containers, job files, sites and datasets. Knows nothing of HTTP."""
