# docker 28.2.2, CPU (GPU runtime not found), image churn:latest
  engine=docker image=churn:latest
  missing="run 'make build'"
  find_built
  stop_grace=120 interrupt_grace=10

  look_at_code
  new_job Churn-1 \
    config model output/data output/tensors tensorboard cow cow/extra/upper cow/extra/work \
    cow/stream/upper cow/stream/work cow/training/upper cow/training/work code
  record engine=docker verb=train stop_grace=120
  [[ -d opt/ml/checkpoints ]] || mkdir -p opt/ml/checkpoints
  hand_back opt/ml/checkpoints checkpoints
  limit 65536
  say "$job": 'docker 28.2.2, CPU (GPU runtime not found), image churn:latest'
  say 'ProfilerConfig is not emulated: no profilerconfig.json, whose content no source tells'
  take_code
  start_helper "$built"
  write_config hyperparameters.json '{"quoted":"\"algo.py\"","e":"é\\u0000\\u0000"}'
  write_config inputdataconfig.json '{"extra":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"},"stream":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"},"training":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"}}'
  write_config resourceconfig.json '{"current_host":"algo-1","current_instance_type":"ml.c5.xlarge","current_group_name":"homogeneousCluster","hosts":["algo-1"],"instance_groups":[{"instance_group_name":"homogeneousCluster","instance_type":"ml.c5.xlarge","hosts":["algo-1"]}],"network_interface_name":"eth0","topology":null}'
  write_config metric-definition-regex.json '[]'
  write_config checkpointconfig.json '{"LocalPath":"/opt/tb/deep"}'
  write_config debughookconfig.json '{"S3OutputPath":"s3://b/d","LocalPath":"/opt/ml/output/tensors","HookParameters":null,"CollectionConfigurations":null,"DebugHookSpecification":null}'
  write_config tensorboardoutputconfig.json '{"S3OutputPath":"s3://b/t","LocalPath":"/opt/tb"}'
  write_config trainingjobconfig.json '{"EnableInterContainerTrafficEncryption":false,"EnableNetworkIsolation":false,"EnableManagedSpotTraining":false,"HyperParameters":{"quoted":"\"algo.py\"","e":"é\\u0000\\u0000"},"InputDataConfig":[{"ChannelName":"extra","DataSource":{"S3DataSource":{"S3DataType":"S3_PREFIX","S3Uri":"","S3DataDistributionType":"FULLY_REPLICATED"}},"CompressionType":"NONE","RecordWrapperType":"NONE"},{"ChannelName":"stream","DataSource":{"S3DataSource":{"S3DataType":"S3_PREFIX","S3Uri":"","S3DataDistributionType":"FULLY_REPLICATED"}},"CompressionType":"NONE","RecordWrapperType":"NONE"},{"ChannelName":"training","DataSource":{"S3DataSource":{"S3DataType":"S3_PREFIX","S3Uri":"","S3DataDistributionType":"FULLY_REPLICATED"}},"CompressionType":"NONE","RecordWrapperType":"NONE"}],"OutputDataConfig":{"KmsKeyId":"","S3OutputPath":"s3://b/o","CompressionType":"NONE"},"ResourceConfig":{"InstanceType":"ml.c5.xlarge","InstanceCount":1},"RoleArn":"arn:aws:iam::111122223333:role/r","Tags":[],"BaseTags":[],"TrainingJobName":"Churn-1'"$stamp"'","StoppingCondition":{"MaxRuntimeInSeconds":100},"AlgorithmSpecification":{"MetricDefinitions":[],"TrainingImage":"churn:latest","TrainingInputMode":"File"},"TrainingJobArn":"arn:aws:sagemaker:us-west-2:111122223333:training-job/churn-1'"$stamp"'","DebugHookConfig":{"S3OutputPath":"s3://b/d","LocalPath":"/opt/ml/output/tensors"},"CheckpointConfig":{"LocalPath":"/opt/tb/deep"}}'
  write_config upstreamoutputdataconfig.json '[]'
  write_config init-config.json '{"inputMode":"FILE","channels":{"extra":{"s3DataSource":{"s3DataType":"S3_PREFIX","s3Uri":"","s3DataDistributionType":"FULLY_REPLICATED","attributeNames":null},"fileSystemDataSource":null,"compressionType":"NONE","recordWrapper":"NONE","shuffleConfig":null,"inputMode":"FILE","sharded":false},"stream":{"s3DataSource":{"s3DataType":"S3_PREFIX","s3Uri":"","s3DataDistributionType":"FULLY_REPLICATED","attributeNames":null},"fileSystemDataSource":null,"compressionType":"NONE","recordWrapper":"NONE","shuffleConfig":null,"inputMode":"FILE","sharded":false},"training":{"s3DataSource":{"s3DataType":"S3_PREFIX","s3Uri":"","s3DataDistributionType":"FULLY_REPLICATED","attributeNames":null},"fileSystemDataSource":null,"compressionType":"NONE","recordWrapper":"NONE","shuffleConfig":null,"inputMode":"FILE","sharded":false}},"checkpointChannel":{"name":"checkpoints","channel":{"s3DataSource":{"s3DataType":"S3_PREFIX","s3Uri":"","s3DataDistributionType":null,"attributeNames":null},"fileSystemDataSource":null,"compressionType":null,"recordWrapper":null,"shuffleConfig":null,"inputMode":"FILE","sharded":false},"outputPath":"/opt/ml/checkpoints","allowEmpty":true},"hostConfig":{"clusterSize":1,"hostNumber":1},"enableAdditionalPlatformLoggingForCustomer":false,"jobRunInfo":{"jobRunNumber":1}}'
  bind "$at/config" /opt/ml/input/config
  cow opt/ml/input/data/extra /opt/ml/input/data/extra extra
  cow opt/ml/input/data/stream /opt/ml/input/data/stream stream
  cow opt/ml/input/data/training /opt/ml/input/data/training training
  bind "$at/model" /opt/ml/model
  bind "$at/output" /opt/ml/output
  show_code /opt/ml/code copy cow
  bind "$at/tensorboard" /opt/tb
  bind opt/ml/checkpoints /opt/tb/deep
  checkpoints_name
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
  if ! started; then not_started; fi
  settle "$dir" opt/ml/checkpoints
  pack never "$dir" || true
  verdict model
