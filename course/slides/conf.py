"""Sphinx configuration of the course's slides; hybrid_batch.course collects their sources and builds them."""

import importlib.util
from pathlib import Path

project, author = "Multilingual retrieval: a course", "The hybrid-batch project"
extensions = ["myst_nb", "sphinx_revealjs", "sphinx.ext.mathjax"]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [("revealjs", kind, place) for place, kind in enumerate(
    ("text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"))]
suppress_warnings = ["myst.header"]

MATHJAX = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
mathjax_path = "tex-svg.js"  # alone it holds its fonts
mathjax3_config = {"options": {"enableMenu": False, "enableEnrichment": False,
                               "enableExplorer": False}}

revealjs_static_path = [str(Path(__file__).parent / "static"), str(MATHJAX / "tex-svg.js")]
revealjs_style_theme = "white"
revealjs_css_files = ["slides.css"]
revealjs_script_conf = {"width": 1280, "height": 720, "margin": 0.03, "center": False, "hash": True, "slideNumber": "c/t",
                        "transition": "none", "navigationMode": "linear", "controls": True, "pdfSeparateFragments": False}
revealjs_script_plugins = [{"src": "revealjs/plugin/notes/notes.js", "name": "RevealNotes"}]
