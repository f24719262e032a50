"""Lab: cases, proposals and their comparison. It proposes; nothing is applied by itself."""
