"""A deployment on a scratch remote: what forges send, what Flux makes of it."""
