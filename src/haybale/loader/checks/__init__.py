"""What only looks at a site, its schema and its documents: no part of the index key."""
