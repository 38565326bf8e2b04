#!/bin/sh
until python -c "import urllib.request as r; r.urlopen('http://solr:8983/solr/parish/admin/ping')"; do sleep 1; done
exec python manage.py test
