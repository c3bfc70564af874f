"""What an export writes: files for the Projector, pictures, event file, and their publication."""
