"""`init`: what a repository is, found by reading it, and what it needs to be used with haybale."""
