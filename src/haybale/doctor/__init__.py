"""`doctor`: everything that would stop a run, found before one is started."""
