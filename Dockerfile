# The stages of the site: runner, builder, release, tester, solr (`just layers` prints them).
# Build them with `just build STAGE`, which makes the base images available, passes what stands behind ARG, and
# adds the OCI labels (source, revision, version, created).

ARG PYTHON_IMAGE=python:3.13-slim
ARG SOLR_IMAGE=solr:9.10.1-slim

# What everything that runs has in common: a user, the folders, the environment. --------------------------
FROM ${PYTHON_IMAGE} AS runner
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=sotu.settings \
    DATABASE_URL=sqlite:////data/db.sqlite3
# By hand: not every small base image has useradd.
RUN echo 'app:x:10001:' >> /etc/group \
 && echo 'app:x:10001:10001::/app:/usr/sbin/nologin' >> /etc/passwd \
 && install -d -o app -g app /app /data
WORKDIR /app

# The dependencies of production, in /venv, put there by the base's own pip. It changes only when they do. What has no
# wheel is built with what is pinned here: left to itself, pip builds with the newest of everything, unhashed.
FROM runner AS builder
COPY requirements/site-build.txt web/requirements.prod.txt /build/
RUN --mount=type=secret,id=ca,required=false \
    --mount=type=secret,id=pip,required=false \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi; \
    PATH=${PATH#/venv/bin:}; \
    python -m venv --without-pip /venv \
 && python -m pip install --no-cache-dir --require-hashes --only-binary :all: --target /build/tools \
      -r /build/site-build.txt \
 && PYTHONPATH=/build/tools python -m pip --python /venv/bin/python wheel --no-cache-dir --require-hashes \
      --no-build-isolation --wheel-dir /build/wheels -r /build/requirements.prod.txt \
 && python -m pip --python /venv/bin/python install --no-cache-dir --no-index --no-deps /build/wheels/*.whl

# What is deployed: dependencies, code, static files; no pip of its own, no compiler, no root. -------------
FROM runner AS release
COPY --from=builder /venv /venv
COPY web /app
RUN SITE_BUILD=1 python manage.py collectstatic --noinput --verbosity 0
USER app
EXPOSE 8000
CMD ["gunicorn"]

# What tests it: the same, with a browser and the development dependencies. The browser comes first: it is
# the largest part and changes least. ----------------------------------------------------------------------
FROM runner AS tester
RUN --mount=type=secret,id=ca,required=false \
    if [ -s /run/secrets/ca ]; then set -- -o Acquire::https::CAInfo=/run/secrets/ca -o APT::Sandbox::User=root; fi; \
    apt-get "$@" update \
 && apt-get "$@" install -y --no-install-recommends chromium fonts-dejavu-core \
 && rm -rf /var/lib/apt/lists/*
COPY --from=builder /venv /venv
COPY web/requirements.txt /build/
RUN --mount=type=secret,id=ca,required=false \
    --mount=type=secret,id=pip,required=false \
    --mount=type=bind,from=builder,source=/build/tools,target=/build/tools \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi; \
    PATH=${PATH#/venv/bin:}; \
    PYTHONPATH=/build/tools python -m pip --python /venv/bin/python wheel --no-cache-dir --require-hashes \
      --no-build-isolation --wheel-dir /build/wheels -r /build/requirements.txt \
 && python -m pip --python /venv/bin/python install --no-cache-dir --no-index --no-deps /build/wheels/*.whl \
 && rm -r /build/wheels \
 && install -d -o app -g app /reports
COPY --from=release /app /app
COPY tests/site /tests/site
COPY tests/browser /tests/browser
ENV CHROMIUM=/usr/bin/chromium REPORTS=/reports
USER app
CMD ["sleep", "infinity"]

# Solr with what the site needs of it. haybale adds a core's folder in SOLR_HOME for each core: its configuration,
# from solr_conf, and its index (empty while it is being made). SOLR_HOME stands outside /var/solr: that is a volume
# in Solr's own image, and an older one would hide it. --------------------------------------------------------
FROM ${SOLR_IMAGE} AS solr
ENV SOLR_HOME=/opt/haybale/solr
COPY --link --chown=8983:8983 <<'XML' /opt/haybale/solr/solr.xml
<solr>
  <int name="maxBooleanClauses">${solr.max.booleanClauses:1024}</int>
</solr>
XML
