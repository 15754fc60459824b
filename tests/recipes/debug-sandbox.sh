# sandbox 6.1, CPU (GPU runtime not found), this machine's Python
  stop_grace=120 interrupt_grace=10

  look_at_code
  need_debugger 5678
  new_job Churn-1 \
    config model output/data cow stage cow/extra/upper cow/extra/work cow/stream/upper \
    cow/stream/work cow/training/upper cow/training/work cow/+code/upper cow/+code/work code
  record engine=sandbox verb=debug stop_grace=120
  say "$job": "sandbox 6.1, CPU (GPU runtime not found), this machine's Python"
  take_code
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
  show_code /opt/ml/code cow cow
  show_debugger
  in_namespaces ip-10-0-0-1.us-west-2.compute.internal 2g \
    '127.0.0.1 algo-1 ip-10-0-0-1.us-west-2.compute.internal'
  start_job "${sandbox[@]}" env -i PATH="$PATH" HOME="${HOME:-/root}" \
    HOSTNAME=ip-10-0-0-1.us-west-2.compute.internal \
    CUDA_VISIBLE_DEVICES='' \
    TRAINING_JOB_NAME=Churn-1"$stamp" \
    TRAINING_JOB_ARN=arn:aws:sagemaker:us-west-2:111122223333:training-job/churn-1"$stamp" \
    AWS_REGION=us-west-2 \
    DMLC_INTERFACE=eth0 \
    NVIDIA_VISIBLE_DEVICES=void \
    LOCAL_DEBUG_PORT=5678 \
    LOCAL_DEBUG_CODE=/opt/ml/code:/opt/ml/input/data/code \
    LOCAL_DEBUG_BIND=127.0.0.1 \
    LOCAL_DEBUG_STATE=/opt/.sm-debug \
    LOCAL_DEBUG_WAIT=1 \
    PYTHONPATH=/opt/sm-local/debug \
    "$PWD"/container/train
  listen
  sweep_beside
  point_links "$dir" model output
  wait_job
  drop_scratch
  if ! started; then not_started; fi
  look_for_debugger
  settle "$dir"
  pack auto "$dir" || true
  verdict model
