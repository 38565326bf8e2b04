"""The site's requirements."""
