"""Read what people write, YAML or JSON, and check it against the API's own model."""
