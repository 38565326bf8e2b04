#!/usr/bin/env python
import os
import sys

if __name__ == '__main__':
    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'parish.settings')
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        raise ImportError("Django is not installed, or the virtual environment is not active.")
    execute_from_command_line(sys.argv)
