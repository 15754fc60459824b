"""What a person can ask for, a file each."""
