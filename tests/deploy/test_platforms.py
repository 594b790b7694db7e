# SPDX-License-Identifier: BSD-3-Clause
"""OpenStack by Heat's own parser, KubeVirt by the types of its API, the ETSI package by csar_check.py; YAML by yamllint."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml
from conftest import DEPLOY, EXAMPLE_MACS, HERE, ROOT, configuration_macs, run
from csar_check import Bad, check_csar

YAMLLINT = "{extends: default, rules: {line-length: {max: 160}, document-start: disable, comments: {require-starting-space: true, ignore-shebangs: true}}}"


def read(*parts):
    with open(os.path.join(DEPLOY, *parts), encoding="utf-8") as f:
        return f.read()


def test_yaml():
    files = sorted(glob.glob(f"{DEPLOY}/openstack/*.yaml") + glob.glob(f"{DEPLOY}/kubevirt/*.yaml"))
    assert len(files) == 4
    run("yamllint", "--strict", "-d", YAMLLINT, *files)


# --- OpenStack -------------------------------------------------------------------------------------------------------------------------

# In a process of its own: Heat loads a hundred plug-ins and writes of each that is deprecated.
HEAT = """
import json, sys
from heat.common import context, template_format
from heat.engine import environment, resource, resources, stack, template
from oslo_config import cfg
cfg.CONF([], project="heat", default_config_files=[])
resources.initialise()
resource.Resource._validate_service_availability = lambda *args: None  # no cloud is here to ask which services it has
text, files = json.load(sys.stdin)
parsed = template.Template(template_format.parse(text), env=environment.Environment({"parameters": {}}), files=files)
parsed.validate()
made = stack.Stack(context.RequestContext(), "test", parsed, strict_validate=False)
made.validate(validate_res_tmpl_only=True)
for one in made.resources.values():  # validate() passes over some, by chance
    one.validate_template()
print(json.dumps({name: r.type() for name, r in made.resources.items()}))
"""


def heat(text, code=0):
    files = {"../seed/user-data": read("seed", "user-data")}
    done = subprocess.run(["/usr/bin/python3", "-B", "-W", "ignore", "-c", HEAT], input=json.dumps([text, files]), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode != 0) == (code != 0), f"exit {done.returncode}\n{done.stderr[-3000:]}"
    return done.stderr if code else json.loads(done.stdout.splitlines()[-1])


def test_heat():
    kinds = heat(read("openstack", "sallyport.yaml"))
    assert sorted(kinds.values()).count("OS::Neutron::Port") == 3 and kinds["firewall"] == "OS::Nova::Server"
    assert set(heat(read("openstack", "platform.yaml")).values()) == {"OS::Glance::WebImage", "OS::Nova::Flavor"}


@pytest.mark.parametrize(
    "old, new, says",
    [("binding:vnic_type: direct", "binding:vnic_tipe: direct", "vnic_tipe"), ("{get_resource: wan_port}", "{get_resource: van_port}", "van_port"),
     ("OS::Nova::Server", "OS::Nova::Serber", "Serber"), ("config_drive: true", "config_drives: true", "config_drives")],
)
def test_heat_finds_mistakes(old, new, says):
    text = read("openstack", "sallyport.yaml")
    assert old in text
    assert says in heat(text.replace(old, new), code=1)


def named(value, function):
    """What each {function: NAME} in a template names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from [inner] if key == function and isinstance(inner, str) else named(inner, function)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner, function)


@pytest.mark.parametrize("name", ["sallyport", "platform"])
def test_heat_parameters(name):
    """Each parameter is used, and each that is used is there: Heat's offline check does not always see that."""
    template = yaml.safe_load(read("openstack", f"{name}.yaml"))
    conditions = {c for r in template["resources"].values() for c in re.findall(r"'if': \['(\w+)'", str(r))}
    assert set(named(template, "get_param")) == set(template["parameters"])
    assert conditions == set(template.get("conditions", {}))


def test_heat_fits_the_seed():
    """What the template replaces is in the seed, and the properties that it is for are there."""
    text = read("openstack", "sallyport.yaml")
    server = yaml.safe_load(text)["resources"]["firewall"]["properties"]
    replaced = server["user_data"]["str_replace"]
    assert replaced["template"] == {"get_file": "../seed/user-data"}
    seed = read("seed", "user-data")
    for old in replaced["params"]:
        assert old in seed
    assert [m for m in replaced["params"] if m in EXAMPLE_MACS] == EXAMPLE_MACS
    assert server["config_drive"] is True
    ports = [r["properties"] for r in yaml.safe_load(text)["resources"].values() if r["type"] == "OS::Neutron::Port"]
    assert [p.get("binding:vnic_type") for p in ports] == [None, "direct", "direct"]
    platform = yaml.safe_load(read("openstack", "platform.yaml"))["resources"]
    assert platform["flavor"]["properties"]["extra_specs"].items() >= {"hw:cpu_policy": "dedicated", "hw:mem_page_size": "1GB"}.items()
    assert platform["image"]["properties"]["extra_properties"].items() >= {"hw_machine_type": "q35", "hw_viommu_model": "intel"}.items()


# --- KubeVirt --------------------------------------------------------------------------------------------------------------------------

NODE_MODULES = os.path.join(ROOT, "build/deploy/npm")


def kubevirt(vm):
    """The compiler's word on a VirtualMachine, by the types that KubeVirt's API description gives: unknown, missing and mistyped fields."""
    folder = os.path.join(NODE_MODULES, "check")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vm.ts"), "w", encoding="utf-8") as f:
        f.write('import type { V1VirtualMachine } from "@kubevirt-ui-ext/kubevirt-api/kubevirt";\n')
        f.write(f"export const vm: V1VirtualMachine = {json.dumps(vm, indent=1)};\n")
    tsc = os.path.join(NODE_MODULES, "node_modules/typescript/bin/tsc")
    return subprocess.run(
        [shutil.which("node"), tsc, "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext", "vm.ts"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )


@pytest.fixture(scope="module")
def vm():
    documents = list(yaml.safe_load_all(read("kubevirt", "sallyport.yaml")))
    assert [(d["apiVersion"], d["kind"]) for d in documents] == [("kubevirt.io/v1", "VirtualMachine")]
    return documents[0]


def test_kubevirt(vm):
    done = kubevirt(vm)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "old, new", [('"dedicatedCpuPlacement"', '"dedicatedCpuPlacment"'), ('"cores": 3', '"cores": "three"'), ('"secretRef": {"name": "sallyport-seed"}', '"secretRef": "sallyport-seed"')]
)
def test_kubevirt_types_find_mistakes(vm, old, new):
    text = json.dumps(vm)
    assert old in text
    assert kubevirt(json.loads(text.replace(old, new))).returncode != 0


def test_kubevirt_fits_together(vm):
    """What types cannot say: names lead somewhere, ports are VFs with the seed's addresses, CPUs are pinned and memory is huge pages."""
    spec = vm["spec"]["template"]["spec"]
    devices = spec["domain"]["devices"]
    assert {d["name"] for d in devices["disks"]} == {v["name"] for v in spec["volumes"]}
    assert [i["name"] for i in devices["interfaces"]] == [n["name"] for n in spec["networks"]]
    ports = [i for i in devices["interfaces"] if "sriov" in i]
    assert [p["macAddress"] for p in ports] == configuration_macs(read("seed", "user-data"))
    assert spec["domain"]["cpu"]["dedicatedCpuPlacement"] and spec["domain"]["memory"]["hugepages"]["pageSize"] == "1Gi"
    # numa.guestMappingPassthrough needs both.
    networks = {}
    for network in yaml.safe_load_all(read("kubevirt", "networks.yaml")):
        assert (network["apiVersion"], network["kind"]) == ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition")
        assert set(network) == {"apiVersion", "kind", "metadata", "spec"} and set(network["spec"]) == {"config"}
        config = json.loads(network["spec"]["config"])
        assert config["type"] == "sriov" and config["name"] == network["metadata"]["name"] and config["cniVersion"]
        # The keys and values that the SR-IOV CNI knows.
        assert set(config) <= {"cniVersion", "name", "type", "vlan", "vlanQoS", "vlanProto", "mac", "trust", "spoofchk", "link_state", "min_tx_rate", "max_tx_rate", "logLevel"}
        assert config["trust"] in ("on", "off") and config["spoofchk"] in ("on", "off") and config["link_state"] in ("auto", "enable", "disable")
        assert 0 <= config["vlan"] <= 4094
        assert re.fullmatch(r"[a-z.]+/[a-z_0-9]+", network["metadata"]["annotations"]["k8s.v1.cni.cncf.io/resourceName"])
        networks[network["metadata"]["name"]] = config
    assert [n["multus"]["networkName"] for n in spec["networks"] if "multus" in n] == list(networks)


# --- ETSI ------------------------------------------------------------------------------------------------------------------------------

MAKE_CSAR = os.path.join(DEPLOY, "etsi/make_csar")


@pytest.fixture(scope="module")
def csar(tmp_path_factory, image):
    path = str(tmp_path_factory.mktemp("csar") / "sallyport.csar")
    run(MAKE_CSAR, "--image", image, "--version", "0.1.0", path)
    return path


def test_csar(csar, tmp_path, image):
    check_csar(csar)
    again = str(tmp_path / "again.csar")
    run(MAKE_CSAR, "--image", image, "--version", "0.1.0", again)
    with open(csar, "rb") as one, open(again, "rb") as two:
        assert one.read() == two.read(), "the same input gives the same bytes"


def test_csar_checker_runs_alone(csar):
    assert "a VNF package" in run(sys.executable, "-B", os.path.join(HERE, "csar_check.py"), csar).stdout


def test_signed_csar(tmp_path, image):
    key, certificate, path = (str(tmp_path / name) for name in ("key", "certificate", "signed.csar"))
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=test", "-days", "2")
    run(MAKE_CSAR, "--sign", key, certificate, "--image", image, "--version", "0.1.0", path)
    check_csar(path)
    changed = change(path, tmp_path, {"sallyport_vnfd.mf": ("vnf_package_version: 0.1.0", "vnf_package_version: 0.1.1")}, rehash=False)
    with pytest.raises(Bad, match="the signature does not fit"):
        check_csar(changed)


def change(path, folder, changes, rehash=True):
    """The package with texts replaced: {member: (old, new)}; new None takes the member out. The manifest's hashes follow, unless told otherwise."""
    import hashlib

    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, (old, new) in changes.items():
        before = hashlib.sha256(members[name]).hexdigest()
        if new is None:
            del members[name]
            continue
        assert old.encode() in members[name], f"{name} has no {old}"
        members[name] = members[name].replace(old.encode(), new.encode())
        if rehash:
            manifest = members["sallyport_vnfd.mf"]
            members["sallyport_vnfd.mf"] = manifest.replace(before.encode(), hashlib.sha256(members[name]).hexdigest().encode())
    target = str(folder / "changed.csar")
    with zipfile.ZipFile(target, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return target


META, TOP, FLAVOUR, TYPES, MANIFEST = (
    "TOSCA-Metadata/TOSCA.meta", "Definitions/sallyport_vnfd.yaml", "Definitions/sallyport_vnfd_df_default.yaml", "Definitions/sallyport_vnfd_types.yaml", "sallyport_vnfd.mf",
)
BROKEN = [
    (META, "CSAR-Version: 1.1", "CSAR-Version: 2.0", "CSAR-Version is 2.0"),
    (META, "ChangeLog.txt", "Changes.txt", "Changes.txt, which is not in the package"),
    (META, "Created-By: Sallyport\n", "", "Created-By is missing"),
    (MANIFEST, "vnf_provider_id: Sallyport", "vnf_provider_id:", "vnf_provider_id is ''"),
    (MANIFEST, "Source: ChangeLog.txt", "Source: Nothing.txt", "Nothing.txt is not in the package"),
    ("Files/user-data", "", None, "Files/user-data is not in the package"),
    (FLAVOUR, "num_virtual_cpu: 3", "num_virtual_cpu: three", "'three' is not allowed"),
    (FLAVOUR, "virtual_mem_size: 4 GB", "virtual_mem_size: 4", "4 is not allowed"),
    (FLAVOUR, "layer_protocols: [ethernet]", "layer_protocols: [token-ring]", "'token-ring' is not allowed"),
    (FLAVOUR, "numa_enabled: true", "numa_enabeld: true", "no property numa_enabeld is known"),
    (FLAVOUR, "        description: The firewall's VM\n", "", "description is required"),
    (FLAVOUR, "- virtual_binding: firewall", "- virtual_binding: firewal", "virtual_binding does not lead to one VDU"),
    (FLAVOUR, "boot_data: Files/user-data", "boot_data: Files/userdata", "boot_data Files/userdata is not in the package"),
    (FLAVOUR, "disk_format: qcow2", "disk_format: qcow3", "'qcow3' is not allowed"),
    (FLAVOUR, "wan_link: [wan, virtual_link]", "wan_link: [van, virtual_link]", "leads to van.virtual_link"),
    (FLAVOUR, "default_level: one", "default_level: two", "default_level is none of"),
    (FLAVOUR, "max_number_of_instances: 1", "max_number_of_instances: 0", "not within the VDU's profile"),
    (FLAVOUR, "type: tosca.nodes.nfv.Vdu.Compute", "type: tosca.nodes.nfv.Vdu.Computer", "no node type"),
    (TOP, "        provider: Sallyport\n", "        provider: Somebody\n", "'Somebody' is not one of"),
    (TOP, "etsivnfm:v2.6.1", "somevnfm", "vnfm_info"),
    (TOP, "raw/v2.6.1/etsi_nfv_sol001_common", "raw/v9/etsi_nfv_sol001_common", "which is not of SOL 001 2.6.1"),
    (TYPES, "derived_from: tosca.nodes.nfv.VNF", "derived_from: tosca.nodes.Root", "one node type derived from"),
]


@pytest.mark.parametrize("member, old, new, says", BROKEN, ids=[b[3] for b in BROKEN])
def test_csar_checker_finds_mistakes(csar, tmp_path, member, old, new, says):
    with pytest.raises(Bad, match=re.escape(says)):
        check_csar(change(csar, tmp_path, {member: (old, new)}))


def test_csar_checker_finds_a_changed_image(csar, tmp_path, image):
    name = f"Files/images/{os.path.basename(image)}"
    with pytest.raises(Bad, match="the image's checksum is wrong"):
        check_csar(change(csar, tmp_path, {name: ("QFI", "QFi")}))
    with pytest.raises(Bad, match=f"the hash of {name} is wrong"):
        check_csar(change(csar, tmp_path, {name: ("QFI", "QFi")}, rehash=False))


@pytest.mark.parametrize("args, says", [(["--image", "/etc/hostname", "--version", "0.1.0"], "is no qcow2 image"), (["--image", "IMAGE", "--version", "new"], "'new' is no version"),
                                        (["--image", "/nonexistent", "--version", "0.1.0"], "No such file")])
def test_make_csar_refuses(tmp_path, image, args, says):
    assert says in run(MAKE_CSAR, *[image if a == "IMAGE" else a for a in args], str(tmp_path / "x.csar"), code=1).stderr
