"""How `make docs` builds the site: Sphinx reads the Markdown of the repository, so every link works there and on the site."""

from pasidlab.report.icon import ICON
from pasidlab.version import VERSION

project = "pasidlab"
author = "The pasidlab authors"
copyright = author
release = version = VERSION

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
myst_heading_anchors = 3
default_role = "literal"  # docstrings write `code` as Markdown does

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True

html_theme = "furo"
html_favicon = ICON  # an address: Sphinx copies what has no "://"
html_title = f"pasidlab {VERSION}"
html_static_path = ["images", "site"]
html_js_files = ["site.js"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
