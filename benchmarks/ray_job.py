"""One job of the Ray Jobs API that runs a container, as a program written for that API does: it connects to Ray, starts
the container, copies its output and ends with its exit code.

python ray_job.py IMAGE COMMAND...
"""

import sys

import docker
import ray


def main() -> int:
    """Run the container and print what it prints."""
    image, *command = sys.argv[1:]
    ray.init(address="auto", log_to_driver=False)
    client = docker.from_env()
    container = client.containers.run(image, command, detach=True)
    try:
        for block in container.logs(stream=True, follow=True):
            sys.stdout.buffer.write(block)
        return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)
        ray.shutdown()


if __name__ == "__main__":
    sys.exit(main())
