"""Work items: defining, assigning, verifying, completing, and who answers for them."""
