"""Every row of the table of initialisers, from the library itself through its own saver into an audit.

``python -m studies.presets LIBRARY...`` (``make presets``) installs the pinned release of a library beside the project,
draws the layers of its rows, saves them with the library's own saver, audits the files, and says of each row whether
the audit names it, and which sigma_w^2 it measures beside the table's.
"""
