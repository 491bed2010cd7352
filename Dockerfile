# syntax=docker/dockerfile:1
# The official image holds the set of packages that the Airflow project tested. Only what this project needs beyond it
# is installed, at the versions of requirements.txt; naming Airflow itself keeps pip from moving it.
FROM apache/airflow:3.3.2-python3.11

COPY --chown=airflow:0 requirements.txt /opt/talent-dmf/
RUN grep -E '^(apache-airflow|apache-airflow-providers-microsoft-azure|bitarray|msal)==' /opt/talent-dmf/requirements.txt \
        > /tmp/pins.txt \
    && pip install --no-cache-dir --requirement /tmp/pins.txt \
    && rm /tmp/pins.txt

COPY --chown=airflow:0 pyproject.toml README.md LICENSE /opt/talent-dmf/
COPY --chown=airflow:0 plugins/talent_dmf /opt/talent-dmf/plugins/talent_dmf
RUN pip install --no-cache-dir --no-deps /opt/talent-dmf && pip check

COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 include /opt/airflow/include
# The provider is installed above; the plugins folder holds only what Airflow itself has to find there.
COPY --chown=airflow:0 plugins/.airflowignore plugins/*.py /opt/airflow/plugins/

ENV PYTHONPATH=/opt/airflow/include
# A named volume takes its owner from the image: the emulator writes here, Airflow reads the certificate.
RUN mkdir -p /opt/airflow/emulator
