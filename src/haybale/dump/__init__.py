"""The reference dump: what it is, checked and unpacked."""
