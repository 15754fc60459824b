# engine podman 5.2
  pull_dlc podman \
    763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker \
    sm-local/dlc/pytorch:2.13-cpu-amzn2023-sagemaker 763104351884.dkr.ecr.us-west-2.amazonaws.com \
    us-west-2 '' 0
