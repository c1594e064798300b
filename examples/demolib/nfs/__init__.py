"""The network functions that the demonstration knows, by the name that --nf takes."""

from .lb import LoadBalancer
from .monitor import Monitor
from .nat import Nat
from .ratelimit import RateLimiter

NFS = {nf.name: nf for nf in (Nat, Monitor, LoadBalancer, RateLimiter)}
