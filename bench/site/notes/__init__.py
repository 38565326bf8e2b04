"""The app of the benchmark's site."""
