#!/usr/bin/env bash
# status.sh JOB: one of the three words that Snakemake asks for. A Job that is gone has failed.
set -euo pipefail
found=$(kubectl get job "$1" --ignore-not-found -o 'jsonpath={.metadata.name} {.status.succeeded} {.status.failed}')
read -r name succeeded failed <<<"$(sed 's/  / 0 /' <<<"$found") 0 0" || true
if [ -z "${found// /}" ] || [ -z "$name" ]; then echo failed
elif [ "$succeeded" = 1 ]; then echo success
elif [ "$failed" != 0 ]; then echo failed
else echo running; fi
