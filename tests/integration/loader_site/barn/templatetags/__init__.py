"""Django imports all of these for the first template."""
