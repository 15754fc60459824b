"""What a company's network asks for: proxies, an index of packages, certificates.

A job on SageMaker has none of it; it is here so that what a job fetches gets through. Values are
looked up by the recipe, since a URL may have a password: it is in no recipe.
"""

from __future__ import annotations

from dataclasses import replace

from ..machine import EngineFacts
from ..plan import Container, Plan

CERTIFICATES = "/etc/ssl/certs/sm-local-ca-bundle.pem"
# who asks: Python's ssl, curl and Go; requests; curl; pip; boto3 and the AWS CLI
READERS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "AWS_CA_BUNDLE")


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with what gets its hosts through; an isolated one has no way out at all."""
    if plan.isolated:
        return plan
    proxies = {
        "HTTP_PROXY": settings["HTTP_PROXY"],
        "HTTPS_PROXY": settings["HTTPS_PROXY"],
        "NO_PROXY": settings["NO_PROXY"],
    }
    given = {**proxies, "PIP_INDEX_URL": settings["PIP_INDEX_URL"]}
    names = tuple(name for name, value in given.items() if value)
    lower = tuple(name.lower() for name in names if name in proxies)
    plan = replace(plan, looked_up=names, passed=(*names, *lower))
    return _trusting(plan, settings["CA_BUNDLE"], facts) if settings["CA_BUNDLE"] else plan


def _trusting(plan: Plan, bundle: str, facts: EngineFacts) -> Plan:
    """Return the plan with certificates; without images, this machine's file is there anyway."""
    mounted = CERTIFICATES if facts.has_images else ""
    variables = dict.fromkeys(READERS, mounted or bundle)

    def trusting(container: Container) -> Container:
        return replace(container, variables={**container.variables, **variables})

    named = (*plan.looked_up, "CA_BUNDLE")
    return replace(plan.each(trusting), looked_up=named, certificates=mounted)
