"""An app without a search index."""
