# What the service `database` does before the commands of the setting `database.commands`, a line each.
set -eu

# manage.py, where nothing is indexed meanwhile, whatever the site's settings and receivers do: the
# signal processor is Haystack's that does nothing, and its connections lead to no server.
without_index() {
  python -c 'if True:
    import os, runpy, sys
    sys.path[:] = [os.getcwd(), *(each for each in sys.path if each not in ("", os.getcwd()))]
    import django.conf
    class Settings(django.conf.Settings):
        def __init__(self, module):
            super().__init__(module)
            self.HAYSTACK_SIGNAL_PROCESSOR = "haystack.signals.BaseSignalProcessor"
            self.HAYSTACK_CONNECTIONS = {
                alias: {**options, "ENGINE": "haystack.backends.simple_backend.SimpleEngine"}
                for alias, options in getattr(self, "HAYSTACK_CONNECTIONS", {}).items()
            }
    django.conf.Settings = Settings
    sys.argv = ["manage.py", *sys.argv[1:]]
    runpy.run_path("manage.py", run_name="__main__")
  ' "$@"
}
