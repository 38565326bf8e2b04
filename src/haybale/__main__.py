"""`python -m haybale` is `haybale`."""

from haybale.cli import main

main()
