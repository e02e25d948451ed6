# The daemon and its locked dependencies; built from a clone: docker build --build-arg REVISION=$(git rev-parse HEAD) .
FROM python:3.12-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/run.txt requirements/
RUN python -m venv /opt/cleaner && /opt/cleaner/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY . .
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir hatchling \
 && /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/cleaner/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM python:3.12-slim-bookworm
ARG REVISION=unknown
# On the PATH for `kubectl exec POD -- cleaner history`.
ENV CLEANER_REVISION=${REVISION} PYTHONDONTWRITEBYTECODE=1 PATH=/opt/cleaner/bin:${PATH}
COPY --from=build /opt/cleaner /opt/cleaner
# Root without capabilities: what the runtime's socket asks for. The DaemonSet drops all capabilities.
# The ledger is in /var/lib/cleaner: mount the node's directory there. No VOLUME: one of its own for each container would
# look like memory, and go with the container.
USER 0:0
EXPOSE 10099
ENTRYPOINT ["/opt/cleaner/bin/cleaner"]
CMD ["run"]
