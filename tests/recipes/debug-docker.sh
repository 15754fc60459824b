# docker 28.2.2, CPU (GPU runtime not found), image churn:latest
  engine=docker image=churn:latest
  missing="run 'make build'"
  find_built
  find_python_path
  stop_grace=120 interrupt_grace=10

  look_at_code
  need_debugger 5678
  new_job Churn-1 \
    config model output/data cow cow/extra/upper cow/extra/work cow/stream/upper cow/stream/work \
    cow/training/upper cow/training/work code
  record engine=docker verb=debug stop_grace=120
  limit 65536
  say "$job": 'docker 28.2.2, CPU (GPU runtime not found), image churn:latest'
  take_code
  start_helper "$built"
  write_config hyperparameters.json '{}'
  write_config inputdataconfig.json '{"extra":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"},"stream":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"},"training":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"}}'
  write_config resourceconfig.json '{"current_host":"algo-1","current_instance_type":"ml.c5.xlarge","current_group_name":"homogeneousCluster","hosts":["algo-1"],"instance_groups":[{"instance_group_name":"homogeneousCluster","instance_type":"ml.c5.xlarge","hosts":["algo-1"]}],"network_interface_name":"eth0","topology":null}'
  write_config metric-definition-regex.json '[]'
  bind "$at/config" /opt/ml/input/config
  cow opt/ml/input/data/extra /opt/ml/input/data/extra extra
  cow opt/ml/input/data/stream /opt/ml/input/data/stream stream
  cow opt/ml/input/data/training /opt/ml/input/data/training training
  bind "$at/model" /opt/ml/model
  bind "$at/output" /opt/ml/output
  show_code /opt/ml/code copy cow
  show_debugger
  name=$job-$$-algo-1
  start_job docker run --rm --pull never --name "$name" --cidfile "$at/container-id" \
    --label sm-local.project="$PWD" --label sm-local.job="$job" --label sm-local.recipe="$recipe" \
    --hostname ip-10-0-0-1.us-west-2.compute.internal --add-host algo-1:127.0.0.1 \
    --publish 127.0.0.1:5678:5678 \
    --shm-size 2g "${limits[@]}" \
    --env TRAINING_JOB_NAME=Churn-1"$stamp" \
    --env TRAINING_JOB_ARN=arn:aws:sagemaker:us-west-2:111122223333:training-job/churn-1"$stamp" \
    --env AWS_REGION=us-west-2 \
    --env DMLC_INTERFACE=eth0 \
    --env NVIDIA_VISIBLE_DEVICES=void \
    --env LOCAL_DEBUG_PORT=5678 \
    --env LOCAL_DEBUG_CODE=/opt/ml/code:/opt/ml/input/data/code \
    --env LOCAL_DEBUG_BIND=0.0.0.0 \
    --env LOCAL_DEBUG_STATE=/tmp/.sm-debug \
    --env LOCAL_DEBUG_WAIT=1 \
    --env PYTHONPATH=/opt/sm-local/debug"$python_path" \
    "${mounts[@]}" \
    "$built" train
  listen
  ( warn_if_stale & ) || true
  sweep_beside
  point_links "$dir" model output
  wait_job
  finish_helper "$built"
  drop_volumes
  if ! started; then not_started; fi
  look_for_debugger
  settle "$dir"
  pack auto "$dir" || true
  verdict model
