"""What the two services say to each other: paths, messages and their schemas."""
