"""Measurements that anyone can run again: python -m bench [decode training startup sample search]."""
