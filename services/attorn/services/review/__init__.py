"""Reviews: verdicts on outputs, and their release."""
