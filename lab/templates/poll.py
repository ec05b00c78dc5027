# Polls a leaf's neighbour table with PyEZ or ncclient, and prints what pollfloor prints.
import json
import resource
import sys
import time

client, host, port, user, key, polls = sys.argv[1:7]

FIELDS = ("ipv6-nd-neighbor-address", "ipv6-nd-neighbor-l2-address", "ipv6-nd-state", "ipv6-nd-isrouter",
          "ipv6-nd-interface-name")


def decoded(tree):
    return [tuple(e.findtext(f) for f in FIELDS) for e in tree.iter("ipv6-nd-entry")]


begin = time.monotonic()
if client == "ncclient":
    from lxml import etree
    from ncclient import manager

    m = manager.connect(host=host, port=int(port), username=user, key_filename=key, hostkey_verify=False, look_for_keys=False,
                        allow_agent=False, device_params={"name": "junos"}, timeout=120)
    request = etree.Element("get-ipv6-nd-information")

    def poll():
        # Junos' own handler strips the namespaces and has the tree parsed already.
        return decoded(m.rpc(request)._NCElement__doc)

    close = m.close_session
else:
    from jnpr.junos import Device

    dev = Device(host=host, port=int(port), user=user, ssh_private_key_file=key, gather_facts=False, normalize=False)
    dev.open(auto_probe=0)
    dev.timeout = 120
    close = dev.close
    if client == "pyez":
        def poll():
            return decoded(dev.rpc.get_ipv6_nd_information())
    else:
        # jnpr.junos.op.nd itself does not load with the PyYAML of Debian 12.
        import os
        import jnpr.junos.op
        import yaml
        from jnpr.junos.factory.factory_loader import FactoryLoader

        with open(os.path.join(os.path.dirname(jnpr.junos.op.__file__), "nd.yml")) as text:
            NdTable = FactoryLoader().load(yaml.safe_load(text))["NdTable"]

        def poll():
            return [(e.mac_address, e.ip_address, e.interface_name, e.router) for e in NdTable(dev).get()]

opened = time.monotonic() - begin


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


before, took, entries = cpu(), [], 0
for _ in range(int(polls)):
    begin = time.monotonic()
    entries = len(poll())
    took.append(time.monotonic() - begin)
used = cpu() - before
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
print(json.dumps({"open": opened, "polls": took, "cpu": used, "entries": entries, "peakKB": peak}))
close()
