#!/usr/bin/env bash
# status.sh JOB: one of the three words that Snakemake asks for. A Job that is gone has failed.
set -euo pipefail
found=$(kubectl get job "$1" --ignore-not-found -o 'jsonpath={.metadata.name}/{.status.succeeded}/{.status.failed}')
case "$found" in
  "") echo failed ;;
  */1/*) echo success ;;
  */) echo running ;;
  *) echo failed ;;
esac
