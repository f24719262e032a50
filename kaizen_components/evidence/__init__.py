"""Evidence: outside material, read into documents, blocks and chunks that lead back to their source."""
