#!/bin/sh
# Runs once, on an empty volume: one role per owner, so that Handoff can't read Temporal's data, nor the other way round, and
# one login per process, which may do nothing until the migration has made it a member of what it needs.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set handoff_password="$HANDOFF_DB_PASSWORD" --set server_password="$HANDOFF_SERVER_DB_PASSWORD" \
  --set webhooks_password="$HANDOFF_WEBHOOKS_DB_PASSWORD" --set worker_password="$HANDOFF_WORKER_DB_PASSWORD" \
  --set temporal_password="$TEMPORAL_DB_PASSWORD" <<'SQL'
create role handoff login createrole password :'handoff_password';
create role handoff_server login noinherit connection limit 50 password :'server_password';
create role handoff_webhooks login noinherit connection limit 50 password :'webhooks_password';
create role handoff_worker login noinherit connection limit 50 password :'worker_password';
create database handoff owner handoff;
revoke connect on database handoff from public;
grant connect on database handoff to handoff_server, handoff_webhooks, handoff_worker;
create role temporal login createdb password :'temporal_password';
SQL

# The codec server's, where docker-compose.codec.yml is in use.
if [ -n "${HANDOFF_CODEC_DB_PASSWORD:-}" ]; then
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --set codec_password="$HANDOFF_CODEC_DB_PASSWORD" <<'SQL'
create role handoff_codec_server login noinherit connection limit 20 password :'codec_password';
grant connect on database handoff to handoff_codec_server;
SQL
fi
