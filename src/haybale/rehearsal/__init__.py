"""A deployment on a scratch remote: what forges send, what Flux makes of it.

An optional extra, for one command: importing it raises `PrerequisiteError` where its libraries are missing.
"""

from importlib.util import find_spec

from haybale.errors import PrerequisiteError

missing = [name for name in ("cel_expr_python",) if find_spec(name) is None]
if missing:
    raise PrerequisiteError(
        f"the rehearsal needs {' and '.join(missing)}, which this Python does not have",
        cause="nothing else needs them, so they are an extra",
        hint='pip install "haybale[rehearse]"',
    )
