"""The HTTP service: add photos, request a visualization, fetch the finished mosaic.

May be imported by `cli` alone, and imports anything below it. `server` puts the parts together.
The server process answers requests and is the only one that writes the database (`store`); maps
are made by worker processes (`worker`), which `worker_pool` supervises. Needs the extra `serve`.
"""
