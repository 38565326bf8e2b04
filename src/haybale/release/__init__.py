"""What a release is: its version and its tags."""
