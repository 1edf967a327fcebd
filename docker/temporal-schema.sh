#!/bin/sh
# Creates or updates Temporal's two databases; each step leaves a current one as it is. SQL_* come from the environment.
set -eu

for pair in temporal:temporal temporal_visibility:visibility; do
  database="${pair%%:*}"
  versions="/etc/temporal/schema/postgresql/v12/${pair##*:}/versioned"
  temporal-sql-tool --db "$database" create
  temporal-sql-tool --db "$database" setup-schema -v 0.0
  temporal-sql-tool --db "$database" update-schema -d "$versions"
done
