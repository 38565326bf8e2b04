"""What manage.py can do beside Django's own."""
