#!/bin/sh
# Runs once, on an empty volume: one role per owner, so that Handoff can't read Temporal's data, nor the other way round.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set handoff_password="$HANDOFF_DB_PASSWORD" --set temporal_password="$TEMPORAL_DB_PASSWORD" <<'SQL'
create role handoff login password :'handoff_password';
create database handoff owner handoff;
revoke connect on database handoff from public;
create role temporal login createdb password :'temporal_password';
SQL
