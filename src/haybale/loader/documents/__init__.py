"""Everything that determines the documents of an index: its digest is a part of the index key."""
