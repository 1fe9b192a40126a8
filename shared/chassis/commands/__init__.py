"""What the commands of all programs share."""
