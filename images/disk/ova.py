# SPDX-License-Identifier: BSD-3-Clause
"""An OVA (DMTF DSP0243): a tar of the OVF descriptor, the manifest and the disk, in that order, as readers that stream it need it."""
import hashlib
import io
import os
import tarfile

MIB = 1 << 20

# Four CPUs: one for Linux, three workers. VMXNET3 is the management interface; the ports are what the operator passes through. Types of hardware are named
# as VMware's ovftool does.
OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
    xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
    <File ovf:id="file1" ovf:href="{disk}" ovf:size="{size}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte"
        ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="management"><Description>Management, by DHCP</Description></Network>
  </NetworkSection>
  <VirtualSystem ovf:id="sallyport">
    <Info>Sallyport firewall</Info>
    <Name>sallyport</Name>
    <ProductSection>
      <Info>Product</Info>
      <Product>Sallyport</Product>
      <Version>{version}</Version>
    </ProductSection>
    <OperatingSystemSection ovf:id="96">
      <Info>Debian, 64 bit</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemType>vmx-19</vssd:VirtualSystemType>
      </System>
{items}
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""
ITEMS = (
    {"AllocationUnits": "hertz * 10^6", "ElementName": "4 CPUs", "InstanceID": 1, "ResourceType": 3, "VirtualQuantity": 4},
    {"AllocationUnits": "byte * 2^20", "ElementName": "4096 MB of memory", "InstanceID": 2, "ResourceType": 4, "VirtualQuantity": 4096},
    {"Address": 0, "ElementName": "SATA controller", "InstanceID": 3, "ResourceSubType": "vmware.sata.ahci", "ResourceType": 20},
    {"AddressOnParent": 0, "ElementName": "Disk", "HostResource": "ovf:/disk/disk1", "InstanceID": 4, "Parent": 3, "ResourceType": 17},
    {"AddressOnParent": 7, "AutomaticAllocation": "true", "Connection": "management", "ElementName": "Management", "InstanceID": 5, "ResourceSubType": "VmxNet3", "ResourceType": 10},
)  # fmt: skip


def item(fields):
    rows = "".join(f"        <rasd:{name}>{fields[name]}</rasd:{name}>\n" for name in sorted(fields))
    return f"      <Item>\n{rows}      </Item>"


def make(vmdk, path, capacity, version):
    stem = os.path.basename(path)[: -len(".ova")]
    size = os.stat(vmdk).st_size
    with open(vmdk, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    ovf = OVF.format(disk=f"{stem}.vmdk", size=size, capacity=capacity, version=version, items="\n".join(map(item, ITEMS))).encode()
    manifest = f"SHA256({stem}.ovf)= {hashlib.sha256(ovf).hexdigest()}\nSHA256({stem}.vmdk)= {digest}\n".encode()
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar, open(vmdk, "rb") as disk:
        for name, length, body in ((f"{stem}.ovf", len(ovf), io.BytesIO(ovf)), (f"{stem}.mf", len(manifest), io.BytesIO(manifest)), (f"{stem}.vmdk", size, disk)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = length, 0o644, int(os.environ["SOURCE_DATE_EPOCH"])
            tar.addfile(entry, body)
