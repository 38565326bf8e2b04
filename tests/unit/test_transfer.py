from __future__ import annotations

import pytest

from haybale.images.transfer import classify_refusal

ERROR = "Error response from daemon: "
RESOLVE = f'{ERROR}failed to resolve reference "docker.io/library/solr:1": '
ASK = f'{RESOLVE}failed to do request: Head "https://hub.example/v2/solr": '
STATUS = f"{RESOLVE}unexpected status from HEAD request to https://hub.example/v2/solr: "
HELPER = 'error getting credentials - err: exec: "docker-credential-x": executable file not found in $PATH'


@pytest.mark.parametrize(
    ("refusal", "output"),
    [
        ("UNREACHABLE", ASK + "dial tcp: lookup hub.example on 10.0.0.1:53: no such host"),
        ("UNREACHABLE", ASK + "dial tcp 10.0.0.1:443: connect: connection refused"),
        ("UNREACHABLE", ASK + "dial tcp 10.0.0.1:443: i/o timeout"),
        ("UNREACHABLE", ASK + "Forbidden"),
        (
            "UNREACHABLE",
            ERROR + "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        ),
        ("ABSENT", RESOLVE + "docker.io/library/solr:1: not found"),
        ("ABSENT", ERROR + "manifest for solr:1 not found: manifest unknown"),
        ("LIMITED", STATUS + "429 Too Many Requests"),
        ("LIMITED", ERROR + "toomanyrequests: You have reached your pull rate limit."),
        ("DENIED", ERROR + "pull access denied for solr, repository does not exist or may require login"),
        ("DENIED", RESOLVE + "failed to authorize: unexpected status: 401 Unauthorized"),
        ("DENIED", STATUS + "403 Forbidden"),
        ("OTHER", HELPER),
        ("OTHER", ASK + "tls: failed to verify certificate: x509: signed by unknown authority"),
        ("OTHER", ""),
    ],
)
def test_classify_refusal_reads_the_engine_s_output(refusal: str, output: str) -> None:
    assert classify_refusal(output).name == refusal
