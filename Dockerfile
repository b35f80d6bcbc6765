# The image of the head and of worker machines: one role is its command (`head`, the default, or `worker`).
#
# Packages come from the index, or from a folder `wheels` in the build's context where builds have no network
# (scripts/build-head-image.sh makes one); each is checked against the lock in both cases.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS packages
COPY requirements-runtime.lock wheel[s] /packages/
RUN python3 -m venv /opt/venv \
 && if ls /packages/*.whl >/dev/null 2>&1; then set -- --no-index --find-links /packages; fi \
 && /opt/venv/bin/pip install --no-cache-dir --quiet --disable-pip-version-check --only-binary :all: \
        "$@" --no-deps --require-hashes -r /packages/requirements-runtime.lock \
 && /opt/venv/bin/pip uninstall --quiet --yes pip setuptools \
 && cd /opt/venv/lib/python3.11/site-packages \
 # What only those need who compile against these packages, or run them from Java or their own tests.
 && rm -rf ray/jars ray/rllib pandas/tests pyarrow/tests pyarrow/include pyarrow/src numpy/*/tests

FROM ${BASE_IMAGE}
RUN groupadd --gid 10001 opeva \
 && useradd --uid 10001 --gid opeva --create-home opeva \
 && mkdir -p /var/lib/opeva/run
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
# The code, least often changed first. Stack tells by its lock whether the packages of a running Ray have changed.
COPY requirements-runtime.lock requirements.lock
COPY serve_config.yaml ./
COPY scripts/__init__.py scripts/
COPY scripts/stack scripts/stack
COPY scripts/container scripts/container
COPY workers workers
COPY deployments deployments
COPY serve_app serve_app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 \
    OPEVA_RUN_DIR=/var/lib/opeva/run OPEVA_WORKER_DIR=/var/lib/opeva/worker \
    OPEVA_MONGO_URI=mongodb://mongo:27017
EXPOSE 8000 8265
# Long enough for a cold start of Ray on a small machine.
HEALTHCHECK --interval=15s --timeout=10s --start-period=180s --retries=4 \
    CMD ["python", "-I", "scripts/container/healthcheck.py"]
# Starts as root only to find out who it may be: see scripts/container/user.py.
ENTRYPOINT ["python", "-m", "scripts.container"]
CMD ["head"]
