"""An app with a command in the place of Haystack's."""
