"""The archive of addresses: models, search indexes, pages."""
