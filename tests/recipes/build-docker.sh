# engine docker 28.2.2
  engine=docker
  build=(docker build --tag churn:latest \
    --build-arg BASE_IMAGE=python:3.12-slim \
    --platform linux/amd64)
  build_image
  mkdir -p recipes
  container_sum > recipes/.built
  say 'built churn:latest; next: make train'
