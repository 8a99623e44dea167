#!/usr/bin/env bash
# submit.sh THREADS MB MINUTES SCRIPT: a Job that runs Snakemake's script, which lies in this folder; says the Job's name.
set -euo pipefail
: "${GOLF_IMAGE:?the image to run}" "${GOLF_CLAIM:?the claim on the shared volume}" "${GOLF_MOUNT:?where it is mounted}"
name=golf-$(tr -dc a-z0-9 </dev/urandom | head -c 12 || true)
kubectl create -f - >/dev/null <<JOB
apiVersion: batch/v1
kind: Job
metadata: {name: $name, labels: {app: neural-golf}}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: $(($3 * 60))
  ttlSecondsAfterFinished: 3600
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: piece
          image: $GOLF_IMAGE
          workingDir: $PWD
          command: [bash, "$4"]
          resources:
            requests: {cpu: "$1", memory: "${2}Mi"}
            limits: {memory: "${2}Mi"}
          volumeMounts: [{name: shared, mountPath: "$GOLF_MOUNT"}]
      volumes: [{name: shared, persistentVolumeClaim: {claimName: "$GOLF_CLAIM"}}]
JOB
echo "$name"
