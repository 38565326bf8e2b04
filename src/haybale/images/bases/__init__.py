"""Base images: what the Dockerfile's stages, and the database server, stand on."""
