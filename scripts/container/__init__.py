"""What the container image runs: `python -m scripts.container head | worker [OPTIONS of join-ray-worker.sh]`."""
