"""A queue service inside OpenStack Swift."""

__version__ = '0.1.0'
