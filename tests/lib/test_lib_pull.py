"""What is worth another try, and what is said about the rest."""

import pytest
from library import bash

FAILED = [
    *["net/http: TLS handshake timeout", "read: connection reset by peer", "unexpected EOF"],
    *["dial tcp: lookup x: no such host", "toomanyrequests: Rate exceeded", "short read"],
    *["received unexpected HTTP status: 503 Service Unavailable", "network is unreachable"],
]
REFUSED = [
    *["name unknown: repository", "no basic auth credentials", "403 Forbidden", "manifest unknown"],
    *["unexpected HTTP status: 404 Not Found", "no space left on device"],
]


@pytest.mark.parametrize("words", FAILED + REFUSED)
def test_the_network_failed_or_something_was_refused(tmp_path, words):
    done = bash(tmp_path, "lib/pull", 'network_failed "$1"', words, check=False)
    assert (done.returncode == 0) == (words in FAILED)


@pytest.mark.parametrize(
    ("call", "words", "hint"),
    [
        ("aws_hint", "Unable to locate credentials", "run 'aws configure sso' or 'aws configure'"),
        ("aws_hint", "Error loading SSO Token", "your SSO login is missing or has ended"),
        ("aws_hint", "ExpiredTokenException", "your temporary credentials have expired"),
        ("aws_hint", "UnrecognizedClientException", "a wrong key, a region that your account"),
        ("aws_hint", "AccessDeniedException", "ask for the policy"),
        ("aws_hint", "SignatureDoesNotMatch", "a wrong secret key, or this machine's clock"),
        ("aws_hint", "Could not connect", "check the network"),
        ("aws_hint", "?", "above are AWS's own words"),
        ("login_hint", "status: 400 Bad Request", "it refused the token"),
        ("login_hint", "docker-credential-x not found", "the helper named in"),
        ("login_hint", "no such host", "check the network, the proxy, REGION and DLC_REGISTRY"),
        ("login_hint", "?", "above are docker's own words"),
        (
            "pull_hint",
            "token has expired",
            "the login is older than 12 hours; run 'docker logout h'",
        ),
        ("pull_hint", "no basic auth credentials", "docker has no valid login to r.io"),
        ("pull_hint", "name unknown", "there is no such repository there"),
        ("pull_hint", "manifest unknown", "there is no such tag"),
        ("pull_hint", "no matching manifest", "it is not made for this processor"),
        ("pull_hint", "no space left on device", "the disk is full; 'docker system df' shows"),
        ("pull_hint", "toomanyrequests", "the registry limits the rate"),
        ("pull_hint", "unexpected EOF", "check the network and the proxy"),
        ("pull_hint", "?", "above are docker's own words"),
    ],
)
def test_hints(tmp_path, call, words, hint):
    body = f'engine=docker image=r.io/x:1 host=h region=r; {call} "$1"'
    assert bash(tmp_path, "lib/pull", body, words).stdout.startswith(hint)


def test_hints_of_the_public_gallery_and_of_a_profile(tmp_path):
    body = 'engine=docker image=public.ecr.aws/x:1 host=; pull_hint "$1"'
    for words in ("403 Forbidden", "token has expired", "no basic auth credentials"):
        assert "docker logout public.ecr.aws'" in bash(tmp_path, "lib/pull", body, words).stdout
    assert "REGION=us-west-2" in bash(tmp_path, "lib/pull", body, "name unknown").stdout
    said = bash(tmp_path, "lib/pull", "aws_hint SSO", AWS_PROFILE="p").stdout
    assert "'aws sso login --profile p'" in said
