"""The mirror of S3: listing.py says what is needed, transfer.py fetches it, fetch.py does both."""
