"""Images: references, base images, building, the registry."""
