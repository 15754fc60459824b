"""What changes a plan: a subject a file, each with apply(plan, settings, facts) -> Plan.

They run in this order. One raises SmLocalError for what cannot be; a setting is read in one alone.
"""

from __future__ import annotations

from . import (
    arguments,
    channels,
    code,
    company,
    credentials,
    fast,
    gpus,
    limits,
    network,
    options,
    pdb,
    sample,
)

FEATURES = (
    *(credentials, network, company, limits, options, arguments, gpus, sample, channels, code),
    *(pdb, fast),
)


def apply(plan, settings, facts):
    """Return the plan after all features."""
    for feature in FEATURES:
        plan = feature.apply(plan, settings, facts)
    return plan
