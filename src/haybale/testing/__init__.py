"""Run the tests of a site with its baked index."""
