# The daemon in an image: not root, and its root file system may be read-only (docker run --read-only --tmpfs /tmp).
#
#   docker build -t mailbox-service .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -v mailbox-service:/var/lib/mailbox-service -v /etc/mailbox-service:/etc/mailbox-service:ro mailbox-service
#
# The configuration is expected at /etc/mailbox-service/config.yaml, with a `health` section on port 8025.
FROM python:3.11-slim-bookworm AS build
# "postgres", and for the trial of docker-compose.yml "postgres,demo".
ARG EXTRAS=postgres
WORKDIR /src
RUN python -m venv /opt/mailbox-service
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY templates templates
COPY migrations migrations
COPY mailbox_service mailbox_service
RUN /opt/mailbox-service/bin/pip install --no-cache-dir --no-compile -c constraints.txt ".[$EXTRAS]" \
    && /opt/mailbox-service/bin/python -m compileall -q /opt/mailbox-service/lib

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends gnupg \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 mailbox-service \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/mailbox-service --shell /usr/sbin/nologin mailbox-service \
    && install -d -m 0700 -o mailbox-service -g mailbox-service /var/lib/mailbox-service
COPY --from=build /opt/mailbox-service /opt/mailbox-service
ENV PATH=/opt/mailbox-service/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MAILBOX_SERVICE_CONFIG=/etc/mailbox-service/config.yaml
WORKDIR /var/lib/mailbox-service
VOLUME /var/lib/mailbox-service
# By number, so that Kubernetes' runAsNonRoot can tell.
USER 10001:10001
# Anything but 200 ends the little program with an error.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8025/healthz', timeout=5)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["mailbox-service"]
CMD ["run"]
