"""Small services: each admits events into one kind of stream. Decisions are pure; `app.py` is the only I/O."""
