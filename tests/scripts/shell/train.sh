#!/bin/bash
set -e
echo "hosts: $SM_HOSTS, data in $SM_CHANNEL_TRAINING"
cp "$SM_CHANNEL_TRAINING"/*.csv /tmp
python3 fit.py --data "$SM_CHANNEL_TRAINING" --out "$SM_MODEL_DIR" "$@"
