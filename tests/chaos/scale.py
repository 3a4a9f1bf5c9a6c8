"""The settings of the stack that is thrown about: as short as the quick matrix's, but for what comes too late."""

from dataclasses import replace

from tests.faults.scale import QUICK

ROLES = {"admin": "admin", "tenant_admin": "tenant_admin"}
"""Directory role to cloud role: with one for all, a change of role would change nothing on the cloud."""

PLAIN_ROLE = "_member_"

STRAYS_AFTER = 4
"""Seconds. Longer than a call goes on after its time-out, as in production: what it leaves is looked for only then."""

SCALE = replace(QUICK, name="chaos", roles=ROLES, settings={**QUICK.settings, "STRAYS_AFTER": str(STRAYS_AFTER)})
