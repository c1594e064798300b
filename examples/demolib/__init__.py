"""The engine of examples/demo and of tests/e2e: one run is one NAT, one load, one kill.

topology   namespaces, devices, and the guardian that removes them whatever happens
processes  programs inside a namespace, with their output kept in a file
gateway    the NAT as the run has it: plain and restarted (none), or protected by Palisade (cold)
load       nginx and curl, iperf3, TCP retransmissions
witness    the numbered UDP streams, the judge of lost, doubled and reordered
run        the conductor: starts all, kills the NAT, gathers the result
table      the result for people
refuse     exit statuses and what is refused before anything starts
"""
