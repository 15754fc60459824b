# shellcheck shell=bash
# NVIDIA's Multi-Process Service: hosts share GPUs. Its clients find the daemon of this machine in one folder, the same
# path inside, and its default.

# need_mps: the daemon is this machine's affair: it takes all of a GPU's users with it.
need_mps() {
  [[ -e ${CUDA_MPS_PIPE_DIRECTORY:-/tmp/nvidia-mps}/control ]] ||
    die "HOST_GPUS=mps: MPS does not run here; 'sudo nvidia-cuda-mps-control -d' starts it, HOST_GPUS=all shares without it"
}

share_gpus() { mounts+=(--mount "type=bind,source=${CUDA_MPS_PIPE_DIRECTORY:-/tmp/nvidia-mps},target=/tmp/nvidia-mps"); }
