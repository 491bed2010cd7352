# syntax=docker/dockerfile:1
# The official image holds the set of packages that the Airflow project tested, and the constraints file that names them.
# Only what this project needs beyond it is installed, by version and hash. A tag can move: docs/how-to/deploy-compose.md
# tells how to name the image by its digest.
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11
FROM ${AIRFLOW_IMAGE}

# No dependency is resolved here: `pip check` tells whether the image has what they need, and the last line whether the
# worker's command still starts (celery 5.7 and the celery provider 3.26 do not go together).
COPY --chown=airflow:0 deploy/requirements-image.txt /opt/talent-dmf/
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /opt/talent-dmf/requirements-image.txt

COPY --chown=airflow:0 pyproject.toml LICENSE /opt/talent-dmf/
COPY --chown=airflow:0 plugins/README.md /opt/talent-dmf/plugins/
COPY --chown=airflow:0 plugins/talent_dmf /opt/talent-dmf/plugins/talent_dmf
RUN pip install --no-cache-dir --no-deps --constraint "${HOME}/constraints.txt" /opt/talent-dmf \
    && pip check \
    && airflow version \
    && airflow celery worker --help > /dev/null

# docker-compose.yaml mounts both over this; here they are for whoever runs the image without it.
COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 include/exports /opt/airflow/include/exports
# The provider is installed above; the plugins folder holds only what Airflow itself has to find there.
COPY --chown=airflow:0 plugins /opt/airflow/plugins
RUN rm -r /opt/airflow/plugins/talent_dmf
COPY --chown=airflow:0 deploy/config /opt/airflow/config

COPY --chown=airflow:0 --chmod=0755 deploy/start deploy/service.py deploy/cleanup /opt/talent-dmf/
# A named volume takes its permissions from the image: any user id of group 0 may write the logs.
RUN mkdir -p /opt/airflow/logs && chmod g+rwX /opt/airflow/logs
ENTRYPOINT ["/usr/bin/dumb-init", "--", "/opt/talent-dmf/start"]
