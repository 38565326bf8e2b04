"""What runs in the site's container, under the site's own Python (3.9 or newer): it loads the search index.

The package is copied alone, as `haybale_loader`, so it imports nothing of haybale.
"""
