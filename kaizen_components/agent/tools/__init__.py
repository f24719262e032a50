"""Tools: the native ones, a file each."""
