"""From an audience script to checked users."""
