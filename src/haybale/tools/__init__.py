"""The only doors to the outside: one thin adapter for each tool."""
