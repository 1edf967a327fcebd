#!/bin/sh
# Creates the namespace and the search attributes that runs set; what is there stays as it is.
set -eu

temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"

# The server takes some seconds to see a new namespace everywhere.
tries=0
until existing="$(temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE")"; do
  tries=$((tries + 1))
  [ "$tries" -lt 30 ] || exit 1
  sleep 2
done

for attribute in HandoffStatus:Keyword HandoffIssuer:Keyword HandoffPartner:Keyword HandoffSessionKind:Keyword HandoffExpiresAt:Datetime; do
  name="${attribute%%:*}"
  case "$existing" in
    *"$name"*) ;;
    *) temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$name" --type "${attribute##*:}" ;;
  esac
done
