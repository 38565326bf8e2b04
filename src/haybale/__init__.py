"""haybale: a Django + Haystack site's Solr index, baked once into an image and used everywhere."""
