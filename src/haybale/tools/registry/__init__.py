"""The image registry."""
