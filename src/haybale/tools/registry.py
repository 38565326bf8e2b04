"""The image registry, over the OCI distribution API."""

from __future__ import annotations

# Seconds that a registry gets to show that it is there.
PATIENCE = 3
LOCAL = ("localhost", "127.0.0.1", "[::1]")


def answers(repository: str) -> bool:
    """Return whether the repository's registry speaks the distribution API (GET /v2/ gives 200 or 401).

    Only for deciding whether a cache is worth a try; nothing is decided about images by it. A repository
    without a host belongs to the public hub and is not asked.
    """
    import requests  # noqa: PLC0415 - a quarter of the start-up time of the verbs that only print

    host, slash, _ = repository.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        return False
    scheme = "http" if host.partition(":")[0] in LOCAL else "https"
    try:
        answer = requests.get(f"{scheme}://{host}/v2/", timeout=PATIENCE)
    except requests.RequestException:
        return False
    return answer.status_code in {200, 401}
