"""The product's settings with leases of 1.5 s and restarts without end, so that many split brains fit into a minute."""

from studio.settings import *  # noqa: F403
from studio.settings import SCHEDULED

LEASE_S, HEARTBEAT_S, REAP_EVERY_S, LEASE_GRACE_S = 1.5, 0.4, 0.3, 0.2
MAX_RESTARTS, RESTART_WAITS_S = 10**6, (0,)
SCHEDULED = [(min(seconds, REAP_EVERY_S) if ".reap." in name else seconds, name) for seconds, name in SCHEDULED]
