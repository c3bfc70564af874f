"""The layers of the package."""

# From the bottom up. A module imports from its own package and from the layers below it.
LAYERS = {
    "ground": {"version", "errors", "choices", "progress", "run_format"},
    "vocabulary": {"types", "options", "option_paths", "photos"},
    "tools": {"util", "vectors"},
    "stages": {"sources", "embedding", "grid"},
    "maps": {"layouts", "metrics", "grouping"},
    "mapping": {"mapping"},
    "files": {"writers"},
    "jobs": {"pipeline", "training"},
    "service": {"serve"},
    "command line": {"cli", "__main__"},
}
