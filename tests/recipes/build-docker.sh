# engine docker 28.2.2
  engine=docker
  mkdir -p recipes
  build=(docker build --tag churn:latest --iidfile "recipes/.id-$$" \
    --build-arg BASE_IMAGE=python:3.12-slim \
    --platform linux/amd64)
  build_image
  record_build churn:latest
  say 'built churn:latest; next: make train'
