"""The engine of examples/demo and of tests/e2e: one run is one network function,
one load, one death (or many).

topology   namespaces, devices, and the guardian that removes them whatever happens
processes  programs inside a namespace, with their output kept in a file
gateway    the function for itself: plain and restarted (none)
protected  the function with loggers and backup, and the supervisor who restarts them (cold, hot)
journal    what they write down
account    Palisade's own account of a run, made from that
nf         what a network function must answer: topology, program, load, witness, verdict
nfs/       one file each: nat, monitor, lb, ratelimit
streams    what those that forward packets have in common
load       nginx and curl, iperf3, TCP retransmissions
witness    the numbered UDP streams, the judge of lost, doubled and reordered
collector  NetFlow, for the monitor
run        the conductor: starts all, kills the function, gathers the result
table      the result for people
refuse     exit statuses and what is refused before anything starts
"""
