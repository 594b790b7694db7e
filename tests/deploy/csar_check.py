#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks a VNF package by the rules of ETSI GS NFV-SOL 004 (the archive) and SOL 001 2.6.1 (the descriptor). csar_check.py FILE

SOL 004: TOSCA.meta with its keys, and what they name is there; the manifest's metadata; a hash for every file, and right; the signature, where there is one.
SOL 001: imports that lead somewhere; node types and their properties, required and unknown ones, with types and allowed values; capabilities of a VDU;
connection points bound to a VDU; what substitution maps; images whose hash, size and format are true; boot data in the package; instantiation levels.

No validator of these packages installs from Debian or npm (Debian's python3-tosca-parser 2.6 lacks its own definitions), hence this one.
"""
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile

import yaml

META = "TOSCA-Metadata/TOSCA.meta"
SOL001_URL = re.compile(r"https://forge\.etsi\.org/rep/nfv/SOL001/raw/v2\.6\.1/(etsi_nfv_sol001_(common|vnfd)_types\.yaml)")
SIZE = re.compile(r"\d+(\.\d+)? *(B|kB|KiB|MB|MiB|GB|GiB|TB|TiB)")
DIGESTS = {"SHA-256": hashlib.sha256, "SHA-512": hashlib.sha512, "sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class Bad(Exception):
    """A rule that the package breaks."""


# --- values, in the words of the standard ------------------------------------------------------------------------------------------
# A specification is a type or a function for a value, {name: specification} for a record (a trailing ! marks what is required), [specification] for a list.


def size(value):
    return isinstance(value, str) and SIZE.fullmatch(value) is not None


def one_of(*allowed):
    return lambda value: value in allowed


def map_of(kind):
    return lambda value: isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, kind) for k, v in value.items())


def positive(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def natural(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


PROTOCOL = one_of("ethernet", "mpls", "odu2", "ipv4", "ipv6", "pseudo-wire")
IMAGE = {
    "name!": str, "version!": str, "checksum!": {"algorithm!": one_of("sha-224", "sha-256", "sha-384", "sha-512"), "hash!": str},
    "container_format!": one_of("aki", "ami", "ari", "bare", "docker", "ova", "ovf"),
    "disk_format!": one_of("aki", "ami", "ari", "iso", "qcow2", "raw", "vdi", "vhd", "vhdx", "vmdk"),
    "min_disk!": size, "min_ram": size, "size!": size, "operating_system": str, "supported_virtualisation_environments": [str],
}
COMPUTE = {
    "name!": str, "description!": str, "boot_order": [str], "nfvi_constraints": [str], "monitoring_parameters": list, "boot_data": str,
    "vdu_profile!": {"min_number_of_instances!": natural, "max_number_of_instances!": natural}, "sw_image_data": IMAGE,
}
VIRTUAL_COMPUTE = {
    "logical_node": dict, "requested_additional_capabilities": dict, "compute_requirements": map_of(str),
    "virtual_memory!": {"virtual_mem_size!": size, "virtual_mem_oversubscription_policy": str, "vdu_mem_requirements": map_of(str), "numa_enabled": bool},
    "virtual_cpu!": {
        "cpu_architecture": str, "num_virtual_cpu!": positive, "virtual_cpu_clock": str, "virtual_cpu_oversubscription_policy": str,
        "vdu_cpu_requirements": map_of(str), "virtual_cpu_pinning": {"virtual_cpu_pinning_policy": one_of("static", "dynamic"), "virtual_cpu_pinning_rule": [str]},
    },
    "virtual_local_storage": [{"size_of_storage!": size, "vdu_storage_requirements": map_of(str), "rdma_enabled": bool}],
}
ADDRESS = {
    "address_type!": one_of("mac_address", "ip_address"), "l2_address_data": {"mac_address_assignment!": bool},
    "l3_address_data": {"ip_address_assignment!": bool, "floating_ip_activated!": bool, "ip_address_type": one_of("ipv4", "ipv6"), "number_of_ip_address": positive},
}
PORT = {
    "layer_protocols!": [PROTOCOL], "role": one_of("root", "leaf"), "description": str, "trunk_mode": bool, "order": natural, "bitrate_requirement": natural,
    "vnic_type": one_of("normal", "virtio", "direct-physical"), "protocol": [{"associated_layer_protocol!": PROTOCOL, "address_data": [ADDRESS]}],
    "virtual_network_interface_requirements": [
        {"name": str, "description": str, "support_mandatory!": bool, "network_interface_requirements!": map_of(str), "nic_io_requirements": dict}
    ],
}
VNF = {
    "descriptor_id!": str, "descriptor_version!": str, "provider!": str, "product_name!": str, "software_version!": str, "product_info_name": str,
    "product_info_description": str, "vnfm_info!": list, "localization_languages": list, "default_localization_language": str,
    "lcm_operations_configuration": dict, "monitoring_parameters": list, "flavour_id!": lambda v: isinstance(v, (str, dict)), "flavour_description!": str, "vnf_profile": dict,
}
NODES = {"tosca.nodes.nfv.Vdu.Compute": COMPUTE, "tosca.nodes.nfv.VduCp": PORT}
POLICIES = {
    "tosca.policies.nfv.InstantiationLevels": {"levels!": dict, "default_level": str},
    "tosca.policies.nfv.VduInstantiationLevels": {"levels!": dict},
    "tosca.policies.nfv.VduInitialDelta": {"initial_delta!": {"number_of_instances!": natural}},
}
VNFM = re.compile(r"etsivnfm:v\d?\d\.\d?\d\.\d?\d|\d+:[a-zA-Z0-9.-]+")


def check(value, spec, where):
    if isinstance(spec, dict):
        if not isinstance(value, dict):
            raise Bad(f"{where}: not a record")
        names = {name.rstrip("!"): name for name in spec}
        for name in value:
            if name not in names:
                raise Bad(f"{where}: no property {name} is known")
            check(value[name], spec[names[name]], f"{where}.{name}")
        for plain, name in names.items():
            if name.endswith("!") and plain not in value:
                raise Bad(f"{where}: {plain} is required")
    elif isinstance(spec, list):
        if not isinstance(value, list):
            raise Bad(f"{where}: not a list")
        for item in value:
            check(item, spec[0], f"{where}[]")
    elif not (isinstance(value, spec) if isinstance(spec, type) else spec(value)):
        raise Bad(f"{where}: {value!r} is not allowed")


# --- the archive -------------------------------------------------------------------------------------------------------------------


def blocks(text, where):
    """Blocks of "Key: value" lines, with an empty line between them."""
    for block in re.split(r"\n\s*\n", text.strip()):
        pairs = {}
        for line in block.split("\n"):
            key, colon, value = line.partition(":")
            if not colon or key != key.strip() or key in pairs:
                raise Bad(f"{where}: '{line}' is no 'Key: value', or is there twice")
            pairs[key] = value.strip()
        yield pairs


class Csar:
    def __init__(self, path):
        try:
            self.zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise Bad(f"{path}: {error}") from error
        self.names = self.zip.namelist()
        for name in self.names:
            if name.startswith("/") or ".." in name.split("/") or "\\" in name or self.names.count(name) > 1:
                raise Bad(f"{name}: leaves the package, or is there twice")

    def text(self, name, why):
        if name not in self.names:
            raise Bad(f"{name} is not in the package: {why}")
        try:
            return self.zip.read(name).decode()
        except UnicodeDecodeError as error:
            raise Bad(f"{name}: not UTF-8") from error

    def digest(self, name, algorithm):
        digest = DIGESTS[algorithm]()
        with self.zip.open(name) as f:
            while block := f.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def meta(self):
        meta = next(blocks(self.text(META, "SOL 004 4.1.2"), META))
        for key, value in (("TOSCA-Meta-File-Version", "1.0"), ("CSAR-Version", "1.1")):
            if meta.get(key) != value:
                raise Bad(f"{META}: {key} is {meta.get(key)}, not {value}")
        for key in ("Created-By", "Entry-Definitions", "ETSI-Entry-Manifest", "ETSI-Entry-Change-Log"):
            if not meta.get(key):
                raise Bad(f"{META}: {key} is missing")
        for key, value in meta.items():
            if key.startswith("ETSI-Entry-") or key == "Entry-Definitions":
                if value not in self.names and not any(name.startswith(value + "/") for name in self.names):
                    raise Bad(f"{META}: {key} names {value}, which is not in the package")
        entry, manifest = os.path.basename(meta["Entry-Definitions"]), meta["ETSI-Entry-Manifest"]
        if manifest != entry.rsplit(".", 1)[0] + ".mf":
            raise Bad(f"{META}: the manifest of {entry} is to be {entry.rsplit('.', 1)[0]}.mf in the package's root, not {manifest}")
        return meta

    def manifest(self, meta):
        name = meta["ETSI-Entry-Manifest"]
        text = self.text(name, "named by ETSI-Entry-Manifest")
        body, begin, rest = text.partition("-----BEGIN CMS-----")
        first, *files = blocks(body, name)
        for key, pattern in (
            ("metadata", ""), ("vnf_product_name", ".+"), ("vnf_provider_id", ".+"), ("vnf_package_version", ".+"),
            ("vnf_release_date_time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"),
        ):
            if not re.fullmatch(pattern, first.get(key, "\n")):
                raise Bad(f"{name}: {key} is {first.get(key)!r}")
        listed = set()
        for block in files:
            source = block.get("Source", "")
            if source not in self.names:
                raise Bad(f"{name}: {source} is not in the package")
            if block.get("Algorithm") not in ("SHA-256", "SHA-512"):
                raise Bad(f"{name}: {source} has the algorithm {block.get('Algorithm')}")
            if self.digest(source, block["Algorithm"]) != block.get("Hash"):
                raise Bad(f"{name}: the hash of {source} is wrong")
            listed.add(source)
        missing = set(self.names) - listed - {name}
        if missing:
            raise Bad(f"{name}: no hash for {', '.join(sorted(missing))}")
        if begin:
            self.signature(name, body, begin + rest, meta)

    def signature(self, name, body, cms, meta):
        with tempfile.TemporaryDirectory() as folder:
            paths = {}
            for what, text in (("body", body), ("cms", cms), ("cert", self.text(meta.get("ETSI-Entry-Certificate", "?"), "of the signature"))):
                paths[what] = os.path.join(folder, what)
                with open(paths[what], "w", encoding="utf-8") as f:
                    f.write(text)
            done = subprocess.run(
                ["openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", paths["cms"], "-content", paths["body"], "-certfile", paths["cert"], "-CAfile",
                 paths["cert"], "-purpose", "any", "-out", os.devnull],
                capture_output=True, text=True, check=False,
            )
        if done.returncode != 0:
            raise Bad(f"{name}: the signature does not fit: {done.stderr.strip()}")


# --- the descriptor ----------------------------------------------------------------------------------------------------------------


class Descriptor:
    def __init__(self, csar, entry):
        self.csar, self.files, self.node_types = csar, {}, {}
        self.read(entry)

    def read(self, name):
        if name in self.files:
            return
        text = self.csar.text(name, "imported")
        if left := re.search(r"@[A-Z]+@", text):
            raise Bad(f"{name}: {left[0]} was not filled in")
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise Bad(f"{name}: {error}") from error
        if content.get("tosca_definitions_version") not in ("tosca_simple_yaml_1_2", "tosca_simple_yaml_1_3"):
            raise Bad(f"{name}: tosca_definitions_version is {content.get('tosca_definitions_version')}")
        self.files[name] = content
        self.node_types.update(content.get("node_types", {}))
        for target in content.get("imports", []):
            if SOL001_URL.fullmatch(target):
                continue
            if "://" in target:
                raise Bad(f"{name}: imports {target}, which is not of SOL 001 2.6.1")
            if not os.path.basename(target).startswith("etsi_nfv_sol001_"):
                self.read(os.path.normpath(os.path.join(os.path.dirname(name), target)))
            elif os.path.join(os.path.dirname(name), target) not in self.csar.names:
                raise Bad(f"{name}: imports {target}, which is not in the package")

    def topologies(self):
        for name, content in self.files.items():
            if "topology_template" in content:
                yield name, content["topology_template"]

    def vnf_type(self):
        kinds = [n for n, t in self.node_types.items() if t.get("derived_from") == "tosca.nodes.nfv.VNF"]
        if len(kinds) != 1:
            raise Bad(f"one node type derived from tosca.nodes.nfv.VNF is needed, not {len(kinds)}")
        return kinds[0]

    def check_vnf(self):
        """The top level's VNF node has every required property, itself or by its type's default; values keep to the type's lists."""
        kind = self.vnf_type()
        declared = self.node_types[kind].get("properties", {})
        nodes = [n for _, t in self.topologies() for n in t.get("node_templates", {}).values() if n["type"] == kind]
        if not nodes:
            raise Bad(f"no node of type {kind}")
        for node in nodes:
            given = dict(node.get("properties", {}))
            for name, value in given.items():
                for constraint in declared.get(name, {}).get("constraints", []):
                    if not isinstance(value, dict) and value not in constraint.get("valid_values", [value]):
                        raise Bad(f"{kind}.{name}: {value!r} is not one of {constraint['valid_values']}")
            check({**{n: p["default"] for n, p in declared.items() if "default" in p}, **given}, VNF, kind)
            for manager in given.get("vnfm_info", []):
                if not VNFM.fullmatch(manager):
                    raise Bad(f"{kind}.vnfm_info: {manager!r}")

    def check_topology(self, name, topology):
        nodes, kind = topology.get("node_templates", {}), self.vnf_type()
        for node_name, node in nodes.items():
            where = f"{name}: {node_name}"
            if node["type"] == kind:
                continue
            if node["type"] not in NODES:
                raise Bad(f"{where}: no node type {node['type']} is known")
            check(node.get("properties", {}), NODES[node["type"]], where)
            if node["type"].endswith(".Compute"):
                self.check_compute(name, where, node)
            else:
                bound = [r["virtual_binding"] for r in node.get("requirements", []) if "virtual_binding" in r]
                if len(bound) != 1 or nodes.get(bound[0], {}).get("type") != "tosca.nodes.nfv.Vdu.Compute":
                    raise Bad(f"{where}: virtual_binding does not lead to one VDU")
        self.check_substitution(name, topology, kind)
        self.check_policies(name, topology, nodes)

    def check_compute(self, name, where, node):
        check(node.get("capabilities", {}).get("virtual_compute", {}).get("properties", {}), VIRTUAL_COMPUTE, f"{where}.virtual_compute")
        properties = node["properties"]
        boot = properties.get("boot_data")
        if boot and "\n" not in boot and boot not in self.csar.names:
            raise Bad(f"{where}: boot_data {boot} is not in the package")
        images = [a for a in node.get("artifacts", {}).values() if a["type"] == "tosca.artifacts.nfv.SwImage"]
        if len(images) != 1 or "sw_image_data" not in properties:
            raise Bad(f"{where}: one image and its sw_image_data are needed")
        path, data = os.path.normpath(os.path.join(os.path.dirname(name), images[0]["file"])), properties["sw_image_data"]
        if path not in self.csar.names:
            raise Bad(f"{where}: the image {path} is not in the package")
        if self.csar.digest(path, data["checksum"]["algorithm"]) != data["checksum"]["hash"]:
            raise Bad(f"{where}: the image's checksum is wrong")
        if data["size"] != f"{self.csar.zip.getinfo(path).file_size} B":
            raise Bad(f"{where}: the image's size is {self.csar.zip.getinfo(path).file_size} B, not {data['size']}")
        with self.csar.zip.open(path) as f:
            if data["disk_format"] == "qcow2" and f.read(4) != b"QFI\xfb":
                raise Bad(f"{where}: the image is no qcow2")

    def check_substitution(self, name, topology, kind):
        mapped = topology.get("substitution_mappings")
        if mapped is None:
            return
        if mapped.get("node_type") != kind or "flavour_id" not in mapped.get("properties", {}):
            raise Bad(f"{name}: substitution_mappings is to be of {kind}, with a flavour_id")
        offered = {n for r in self.node_types[kind].get("requirements", []) for n in r}
        requirements = mapped.get("requirements", {})
        if set(requirements) != offered:
            raise Bad(f"{name}: substitution_mappings has {sorted(requirements)}, the type {sorted(offered)}")
        for target, requirement in requirements.values():
            if topology["node_templates"].get(target, {}).get("type") != "tosca.nodes.nfv.VduCp" or requirement != "virtual_link":
                raise Bad(f"{name}: substitution_mappings leads to {target}.{requirement}")

    def check_policies(self, name, topology, nodes):
        levels = None
        for policy_name, policy in [item for p in topology.get("policies", []) for item in p.items()]:
            where = f"{name}: {policy_name}"
            if policy["type"] not in POLICIES:
                raise Bad(f"{where}: no policy type {policy['type']} is known")
            check(policy.get("properties", {}), POLICIES[policy["type"]], where)
            if policy["type"].endswith(".InstantiationLevels"):
                levels = set(policy["properties"]["levels"])
                if policy["properties"].get("default_level") not in levels:
                    raise Bad(f"{where}: default_level is none of {sorted(levels)}")
                continue
            for target in policy.get("targets", ["none"]):
                if nodes.get(target, {}).get("type") != "tosca.nodes.nfv.Vdu.Compute":
                    raise Bad(f"{where}: {target} is no VDU")
                profile = nodes[target]["properties"]["vdu_profile"]
                given = policy["properties"].get("levels", {"": policy["properties"].get("initial_delta")})
                if policy["type"].endswith("VduInstantiationLevels") and set(given) != levels:
                    raise Bad(f"{where}: levels {sorted(given)} are not {sorted(levels or [])}")
                for level in given.values():
                    if not profile["min_number_of_instances"] <= level["number_of_instances"] <= profile["max_number_of_instances"]:
                        raise Bad(f"{where}: {level['number_of_instances']} instances are not within the VDU's profile")

    def check(self):
        self.check_vnf()
        flavours = [t for _, t in self.topologies() if "substitution_mappings" in t]
        if not flavours:
            raise Bad("no deployment flavour: no topology has substitution_mappings")
        for name, topology in self.topologies():
            self.check_topology(name, topology)


def check_csar(path):
    """Raises Bad with the first rule that the package breaks."""
    csar = Csar(path)
    meta = csar.meta()
    csar.manifest(meta)
    Descriptor(csar, meta["Entry-Definitions"]).check()


if __name__ == "__main__":
    try:
        check_csar(sys.argv[1])
    except Bad as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    print(f"{sys.argv[1]}: a VNF package by SOL 004 and SOL 001")
