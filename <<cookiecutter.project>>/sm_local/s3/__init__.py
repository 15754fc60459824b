"""The mirror of S3 that `make data` fills."""
