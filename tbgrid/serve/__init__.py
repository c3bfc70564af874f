"""The HTTP service: add photos, ask for a visualization, come back for the picture.

`server` puts it together. The server's process answers and alone writes the database (`store`);
maps are made by worker processes (`worker`), which `workers` looks after. Needs the extra `serve`.
"""
