# shellcheck shell=bash
# NVIDIA's Multi-Process Service: hosts share GPUs. Its clients find this machine's daemon in one
# folder; inside, the same folder is at its default place.
# Reads $CUDA_MPS_PIPE_DIRECTORY. Adds to $mounts.

# need_mps: starting the daemon is left to the machine's owner: it affects everybody on the GPU.
need_mps() {
  [[ -e ${CUDA_MPS_PIPE_DIRECTORY:-/tmp/nvidia-mps}/control ]] ||
    die "HOST_GPUS=mps: MPS does not run here; 'sudo nvidia-cuda-mps-control -d' starts it," \
      "HOST_GPUS=all shares without it"
}

# share_gpus: mount the daemon's folder.
share_gpus() {
  local source=${CUDA_MPS_PIPE_DIRECTORY:-/tmp/nvidia-mps}
  mounts+=(--mount "type=bind,source=$source,target=/tmp/nvidia-mps")
}
