"""What a job leaves behind, read: its folder, logs, progress, results, exported series.

Uses `jobs`, `common`, the log index of `host` and the instants of `sites`; writes only a job's own folder and its
private one in `.opeva/`.
Used by the API, and by `supervision` to make and remove folders.
"""
