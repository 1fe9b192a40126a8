"""The original's sequences and files."""
