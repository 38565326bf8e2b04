"""What people see: progress, lines, tables."""
