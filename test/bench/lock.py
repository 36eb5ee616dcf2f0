#!/usr/bin/env python3
"""Write a lock for a data set that is described by a dataset.json.

    lock.py DATASET.json REGISTRY FILES-URL > bench.lock.yaml

The JSON lists images {repo, tag, digest, platforms: [{arch, digest}]} that REGISTRY
(host:port) holds, and files {path, size, sha256} that FILES-URL serves; paths below
rpms/<arch>/ that end in .rpm become RPMs, paths below raw/ become files.
"""
import json
import os
import re
import sys

data = json.load(open(sys.argv[1]))
registry, files = sys.argv[2], sys.argv[3]
print("apiVersion: airbundle/v1\nkind: Lock\nname: bench\narches: [x86_64, aarch64]\nimages:")
for i in sorted(data["images"], key=lambda i: i["repo"]):
    print(f"  - source: {registry}/{i['repo']}:{i['tag']}\n    digest: {i['digest']}\n    platforms:")
    for p in i["platforms"]:
        print(f"      linux/{p['arch']}: {p['digest']}")
print("rpms:")
for f in data["files"]:
    m = re.fullmatch(r"rpms/(\w+)/(?:.*/)?(.+)-([^-]+-[^-]+)\.(\w+)\.rpm", f["path"])
    if m:
        basearch, name, evr, arch = m.groups()
        print(f"  - name: {name}\n    evr: {evr}\n    arch: {arch}\n    basearch: {basearch}\n    repo: os/{basearch}")
        print(f"    urls: ['{files}/{f['path']}']\n    size: {f['size']}\n    digest: sha256:{f['sha256']}")
        print("    unsigned: accepted\n    why: made for a measurement")
print("files:")
for f in data["files"]:
    if f["path"].startswith("raw/"):
        print(f"  - path: {os.path.basename(f['path'])}\n    urls: ['{files}/{f['path']}']\n    size: {f['size']}\n    digest: sha256:{f['sha256']}")
