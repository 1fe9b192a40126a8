"""An operator's night on one machine: everything that operations.md promises, while it sends."""
