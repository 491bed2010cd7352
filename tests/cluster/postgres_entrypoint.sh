#!/bin/sh
# Does what the entry point of the image `postgres` does for a service of ours: a database cluster with one user and one
# database at the first start, and the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(mktemp)
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then cat "$POSTGRES_PASSWORD_FILE"; else printf '%s' "$POSTGRES_PASSWORD"; fi > "$password"
    initdb --username "$POSTGRES_USER" --pwfile "$password" --auth-local trust --auth-host scram-sha-256 > /dev/null
    rm "$password"
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    pg_ctl --wait --options "-c listen_addresses=" start > /dev/null
    createdb --username "$POSTGRES_USER" "$POSTGRES_DB" || [ "$POSTGRES_DB" = postgres ]
    pg_ctl --wait stop > /dev/null
fi
exec postgres -c listen_addresses='*' "$@"
