"""How gunicorn serves the site, with a read-only root and on SIGTERM without breaking answers off."""

import os

wsgi_app = "sotu.wsgi:application"
bind = os.environ.get("BIND", "0.0.0.0:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 4
# Heartbeats in memory: the root may be read-only and a slow disk must not look like a dead worker.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"  # noqa: S108
timeout = 60
graceful_timeout = 20
keepalive = 5
# Nobody manages it from inside, and the home folder may be read-only.
control_socket_disable = True
accesslog = "-"
errorlog = "-"
# A long query string is refused here, before it costs anything.
limit_request_line = 8190
