# docker 28.2.2, CPU (GPU runtime not found), image churn:latest
  engine=docker image=churn:latest
  missing="run 'make build'"
  find_built
  stop_grace=120 interrupt_grace=10

  look_at_code
  need_data a "s3://b/p q/it's" data/s3/.ready/0ee83371c4b622e0 'make data'
  need_data b s3://b/p/ data/s3/.ready/bfed65253f194131 'make data'
  full_prefix b s3://b/p/
  need_data c s3://b/m data/s3/.ready/e8cea9c0eed80a72 'make data'
  need_data other s3://b/p/m.jsonl data/s3/.ready/764d0c438fcfb7b2 'make data'
  need_python other
  new_job Churn-1 \
    config model output/data pipes cow cow/a/upper cow/a/work cow/c/upper cow/c/work code
  record engine=docker verb=train stop_grace=120
  limit 65536
  say "$job": 'docker 28.2.2, CPU (GPU runtime not found), image churn:latest'
  take_code
  objects=("s3://b/p q/it's")
  view_prefix a
  objects=(s3://b/p/)
  view_prefix b
  objects=(s3://b/m --type ManifestFile)
  view c
  start_helper "$built"
  write_config hyperparameters.json '{}'
  write_config inputdataconfig.json '{"a":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"},"b":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"},"c":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"},"other":{"TrainingInputMode":"Pipe","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"RecordIO"}}'
  write_config resourceconfig.json '{"current_host":"algo-1","current_instance_type":"ml.c5.xlarge","current_group_name":"homogeneousCluster","hosts":["algo-1"],"instance_groups":[{"instance_group_name":"homogeneousCluster","instance_type":"ml.c5.xlarge","hosts":["algo-1"]}],"network_interface_name":"eth0","topology":null}'
  write_config metric-definition-regex.json '[]'
  bind "$at/config" /opt/ml/input/config
  bind "$at/pipes" /opt/ml/input/data
  view_or_folder a "data/s3/b/p q/it's"
  cow "$view" /opt/ml/input/data/a a
  view_or_folder b data/s3/b/p
  bind "$view" /opt/ml/input/data/b readonly
  cow "$at/views/c" /opt/ml/input/data/c c
  objects=(s3://b/p/m.jsonl --type AugmentedManifestFile)
  feed other --gzip --recordio --seed 3 --attribute=a-ref --attribute=b --base=s3://b/p/
  bind "$at/model" /opt/ml/model
  bind "$at/output" /opt/ml/output
  show_code /opt/ml/code copy cow
  name=$job-$$-algo-1
  start_job docker run --rm --pull never --name "$name" --cidfile "$at/container-id" \
    --label sm-local.project="$PWD" --label sm-local.job="$job" --label sm-local.recipe="$recipe" \
    --hostname ip-10-0-0-1.us-west-2.compute.internal --add-host algo-1:127.0.0.1 \
    --shm-size 2g "${limits[@]}" \
    --env TRAINING_JOB_NAME=Churn-1"$stamp" \
    --env TRAINING_JOB_ARN=arn:aws:sagemaker:us-west-2:111122223333:training-job/churn-1"$stamp" \
    --env AWS_REGION=us-west-2 \
    --env DMLC_INTERFACE=eth0 \
    --env NVIDIA_VISIBLE_DEVICES=void \
    "${mounts[@]}" \
    "$built" train
  listen
  ( warn_if_stale & ) || true
  sweep_beside
  point_links "$dir" model output
  wait_job
  finish_helper "$built"
  drop_volumes
  drop_pipes
  drop_views
  if ! started; then not_started; fi
  settle "$dir"
  pack auto "$dir" || true
  verdict model
