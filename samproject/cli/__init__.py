"""The ``sam`` command: a client of SAM's REST API, from another machine or beside the database."""
