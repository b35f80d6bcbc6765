"""What requests carry and answers hold, as OpenAPI shows it."""
