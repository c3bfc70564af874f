"""What tests share: helpers that are imported, beside the fixtures of conftest.py."""
