# engine docker 28.2.2
  mkdir -p recipes
  build=(docker build --tag churn:latest --iidfile "recipes/.id-$$" \
    --file container/Dockerfile \
    --build-arg BASE_IMAGE=python:3.12-slim \
    --platform linux/amd64)
  build_proxies
  "${build[@]}" .
  record_build docker churn:latest
  say 'built churn:latest; next: make train'
