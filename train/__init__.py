"""What makes an adapter. Imports space/, and is never imported by it."""
