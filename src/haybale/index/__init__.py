"""The heart: dump, load, verify, bake."""
