"""What the original knew: its sequences and its files."""
