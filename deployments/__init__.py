"""One module per Ray Serve deployment."""
