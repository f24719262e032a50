"""Generation: runs of generative workflows, with what they were made of and what came out."""
