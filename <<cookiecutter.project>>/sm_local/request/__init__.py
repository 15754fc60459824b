"""What a person wrote, checked: YAML or JSON against the API's own model."""
