# sandbox 6.1, CPU (GPU runtime not found), this machine's Python
  stop_grace=120 interrupt_grace=10

  look_at_code
  need_data training file:opt/ml/input/data/training '' 'make data'
  need_data many s3://b/many/ data/s3/.ready/7478760d82d61c51 'make data'
  need_data other s3://b/p/m.jsonl data/s3/.ready/764d0c438fcfb7b2 'make data'
  need_python other
  new_job Churn-1 \
    algo-1/config algo-1/model algo-1/output/data algo-1/pipes algo-1/cow algo-1/stage \
    algo-1/cow/training/upper algo-1/cow/training/work algo-1/cow/many/upper algo-1/cow/many/work \
    algo-1/cow/+code/upper algo-1/cow/+code/work algo-2/config algo-2/model algo-2/output/data \
    algo-2/pipes algo-2/cow algo-2/stage algo-2/cow/training/upper algo-2/cow/training/work \
    algo-2/cow/many/upper algo-2/cow/many/work algo-2/cow/+code/upper algo-2/cow/+code/work code
  record engine=sandbox verb=train stop_grace=120
  make_switch
  say "$job": "sandbox 6.1, CPU (GPU runtime not found), this machine's Python"
  say 'the hosts reach each other and nothing else: the sandbox has no way out of their network'
  take_code
  on_host algo-1
  objects=(file:opt/ml/input/data/training --called s3://b/training --shard 0/2)
  view training
  list_objects training
  objects=(s3://b/many/ --shard 0/2)
  view many
  list_objects many
  on_host algo-2
  objects=(file:opt/ml/input/data/training --called s3://b/training --shard 1/2)
  view training
  list_objects training
  objects=(s3://b/many/ --shard 1/2)
  view many
  list_objects many
  on_host algo-1
  write_config hyperparameters.json '{}'
  write_config inputdataconfig.json '{"training":{"TrainingInputMode":"File","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"None"},"many":{"TrainingInputMode":"File","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"None"},"other":{"TrainingInputMode":"Pipe","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"RecordIO"}}'
  write_config resourceconfig.json '{"current_host":"algo-1","current_instance_type":"ml.c5.xlarge","current_group_name":"homogeneousCluster","hosts":["algo-1","algo-2"],"instance_groups":[{"instance_group_name":"homogeneousCluster","instance_type":"ml.c5.xlarge","hosts":["algo-1","algo-2"]}],"network_interface_name":"eth0","topology":null}'
  write_config metric-definition-regex.json '[]'
  bind "$at/config" /opt/ml/input/config
  bind "$at/pipes" /opt/ml/input/data
  cow "$at/views/training" /opt/ml/input/data/training training
  bind "$at/manifests/training-manifest" /opt/ml/input/data/training-manifest
  cow "$at/views/many" /opt/ml/input/data/many many
  bind "$at/manifests/many-manifest" /opt/ml/input/data/many-manifest
  objects=(s3://b/p/m.jsonl --type AugmentedManifestFile --shard 0/2)
  feed other --gzip --recordio --seed 3 --attribute=a-ref --attribute=b --base=s3://b/p/
  bind "$at/model" /opt/ml/model
  bind "$at/output" /opt/ml/output
  show_code /opt/ml/code cow cow
  in_namespaces ip-10-0-0-1.us-west-2.compute.internal 2g \
    '10.0.0.1 algo-1 ip-10-0-0-1.us-west-2.compute.internal
10.0.0.2 algo-2 ip-10-0-0-2.us-west-2.compute.internal'
  on_switch 1
  start_job "${sandbox[@]}" env -i PATH="$PATH" HOME="${HOME:-/root}" \
    HOSTNAME=ip-10-0-0-1.us-west-2.compute.internal \
    CUDA_VISIBLE_DEVICES='' \
    TRAINING_JOB_NAME=Churn-1"$stamp" \
    TRAINING_JOB_ARN=arn:aws:sagemaker:us-west-2:111122223333:training-job/churn-1"$stamp" \
    AWS_REGION=us-west-2 \
    DMLC_INTERFACE=eth0 \
    NVIDIA_VISIBLE_DEVICES=void \
    "$PWD"/container/train
  on_host algo-2
  write_config hyperparameters.json '{}'
  write_config inputdataconfig.json '{"training":{"TrainingInputMode":"File","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"None"},"many":{"TrainingInputMode":"File","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"None"},"other":{"TrainingInputMode":"Pipe","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"RecordIO"}}'
  write_config resourceconfig.json '{"current_host":"algo-2","current_instance_type":"ml.c5.xlarge","current_group_name":"homogeneousCluster","hosts":["algo-1","algo-2"],"instance_groups":[{"instance_group_name":"homogeneousCluster","instance_type":"ml.c5.xlarge","hosts":["algo-1","algo-2"]}],"network_interface_name":"eth0","topology":null}'
  write_config metric-definition-regex.json '[]'
  bind "$at/config" /opt/ml/input/config
  bind "$at/pipes" /opt/ml/input/data
  cow "$at/views/training" /opt/ml/input/data/training training
  bind "$at/manifests/training-manifest" /opt/ml/input/data/training-manifest
  cow "$at/views/many" /opt/ml/input/data/many many
  bind "$at/manifests/many-manifest" /opt/ml/input/data/many-manifest
  objects=(s3://b/p/m.jsonl --type AugmentedManifestFile --shard 1/2)
  feed other --gzip --recordio --seed 3 --attribute=a-ref --attribute=b --base=s3://b/p/
  bind "$at/model" /opt/ml/model
  bind "$at/output" /opt/ml/output
  show_code /opt/ml/code cow cow
  in_namespaces ip-10-0-0-2.us-west-2.compute.internal 2g \
    '10.0.0.1 algo-1 ip-10-0-0-1.us-west-2.compute.internal
10.0.0.2 algo-2 ip-10-0-0-2.us-west-2.compute.internal'
  on_switch 2
  start_job "${sandbox[@]}" env -i PATH="$PATH" HOME="${HOME:-/root}" \
    HOSTNAME=ip-10-0-0-2.us-west-2.compute.internal \
    CUDA_VISIBLE_DEVICES='' \
    TRAINING_JOB_NAME=Churn-1"$stamp" \
    TRAINING_JOB_ARN=arn:aws:sagemaker:us-west-2:111122223333:training-job/churn-1"$stamp" \
    AWS_REGION=us-west-2 \
    DMLC_INTERFACE=eth0 \
    NVIDIA_VISIBLE_DEVICES=void \
    "$PWD"/container/train
  listen
  sweep_beside
  point_links "$dir/algo-1" model output
  wait_job
  drop_scratch
  drop_pipes
  drop_views
  if ! started; then not_started; fi
  settle "$dir"
  pack auto "$dir" || true
  verdict model
