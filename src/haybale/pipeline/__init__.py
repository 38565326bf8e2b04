"""The way a push takes: the states it can be in, what is decided, and what is done."""
