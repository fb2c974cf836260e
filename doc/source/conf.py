"""Sphinx configuration."""

from swiftqueue import __version__

project = 'swiftqueue'
author = 'the swiftqueue developers'
copyright = 'the swiftqueue developers'
version = release = __version__
html_theme = 'alabaster'
html_theme_options = {'description': 'A queue service inside OpenStack Swift'}
exclude_patterns = []
