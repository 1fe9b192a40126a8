"""The real processes under kills, cancels, edits and failing neighbours; and their judge."""
