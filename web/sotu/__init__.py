"""The site: settings, addresses, the way in for the web server."""
