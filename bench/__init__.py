"""The benchmark of the loader: `nox -s bench` (docs/bench.md)."""
