"""Real clients of Amazon SQS: where the Makefile has put them, and what they do in the tests."""
