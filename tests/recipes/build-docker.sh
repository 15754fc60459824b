# engine docker 28.2.2
  build=(docker build --tag churn:latest --file container/Dockerfile \
    --build-arg BASE_IMAGE=python:3.12-slim \
    --platform linux/amd64)
  build_proxies
  "${build[@]}" .
  mkdir -p recipes
  container_sum > recipes/.built
  say 'built churn:latest; next: make train'
