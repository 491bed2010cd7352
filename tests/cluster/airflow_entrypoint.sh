#!/bin/bash
# Does what the entry point of the image `apache/airflow` does for a service of ours, failures of a migration included:
# it goes on after them.
set -euo pipefail
umask 0002
[ "${CONNECTION_CHECK_MAX_COUNT:-20}" = 0 ] || airflow db check
if [ -n "${_AIRFLOW_DB_MIGRATE:-}" ]; then
    airflow db migrate || true
fi
if [ -n "${_AIRFLOW_WWW_USER_CREATE:-}" ]; then
    if [ -n "${_AIRFLOW_WWW_USER_PASSWORD_CMD:-}" ]; then
        _AIRFLOW_WWW_USER_PASSWORD=$(eval "$_AIRFLOW_WWW_USER_PASSWORD_CMD")
    fi
    airflow users create --username "${_AIRFLOW_WWW_USER_USERNAME:-admin}" --firstname Airflow --lastname Admin \
        --email airflowadmin@example.com --role Admin --password "$_AIRFLOW_WWW_USER_PASSWORD" || true
fi
unset _AIRFLOW_WWW_USER_PASSWORD _AIRFLOW_WWW_USER_PASSWORD_CMD
case "${1:-}" in
    bash | python) exec "$@" ;;
    airflow) shift ;;
esac
exec airflow "$@"
