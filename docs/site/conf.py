"""The documentation site, built by `scripts/site.py`. It loads nothing from elsewhere."""

project = "qgjob"
html_title = "qgjob"
copyright = "The qgjob authors"  # noqa: A001  (Sphinx's name for it)

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["site"]
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
nitpicky = True
smartquotes = False  # an option is --wait, not –wait

html_theme = "furo"
html_static_path = ["site/site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_extra_path = ["qgjob.1"]
pygments_style = "tango"
pygments_dark_style = "monokai"
# Session transcripts and fragments of other languages are shown as they are.
highlight_language = "none"
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0f766e",
        "color-brand-content": "#0f766e",
        "font-stack": "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif",
        "font-stack--monospace": "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace",
    },
    "dark_css_variables": {"color-brand-primary": "#4fd1c0", "color-brand-content": "#4fd1c0"},
}
