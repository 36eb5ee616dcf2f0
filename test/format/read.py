#!/usr/bin/env python3
"""Verifies an airbundle archive: read.py FILE [ROOT DIGEST]. Prints "ok <root digest>", or what is wrong, and exits with 1.

A second reader of the format, written from docs/format.md with the standard library alone."""
import hashlib, json, re, sys

OCI, DOCKER, OURS = "application/vnd.oci.", "application/vnd.docker.distribution.manifest.", "application/vnd.airbundle."
MANIFEST, INDEX, TABLE = OCI + "image.manifest.v1+json", OCI + "image.index.v1+json", OURS + "table.v1+json"
MANIFESTS, INDEXES = (MANIFEST, DOCKER + "v2+json"), (INDEX, DOCKER + "list.v2+json")
REF, TITLE = "org.opencontainers.image.ref.name", "org.opencontainers.image.title"
SMALL, SLICE, LARGE = 4 << 20, 32 << 20, 64 << 20  # bounds of image JSON; of metadata; of root, table and index.json
WORD = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
PUBLISH = rf"(?=[^:]{{1,255}}:){WORD}(/{WORD})*:[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,127}}"
LINE, PART, LINES = (rf"[^{c}\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff]*" for c in (
    r"\x00-\x1f", r"/\x00-\x1f", r"\x00-\x08\x0b\x0c\x0e-\x1f"))  # text; without a slash; with line breaks and tabs
TEXT, NUMBER, DIGEST, KEY, ARCH = LINE[:-1] + "+", "a number", "sha256:[0-9a-f]{64}", "[0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64}", "x86_64|aarch64"
TIME = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}Z"
EMPTY = {"mediaType": OCI + "empty.v1+json", "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(), "size": 2}
SHAPE = {  # the table: members in order; optional ones have a question mark
    "name": TEXT, "serial?": NUMBER, "expires?": TIME, "lock": DIGEST, "arches": [ARCH], "groups?": [TEXT],
    "images?": [{"name": TEXT, "digest": DIGEST, "original?": DIGEST,
                 "platforms": [{"platform": TEXT, "digest": DIGEST}], "publish?": [PUBLISH], "groups?": [TEXT]}],
    "rpms?": [{"name": PART, "evr": PART, "arch": PART, "basearch": ARCH, "repo": TEXT, "digest": DIGEST,
               "signer?": KEY, "unsigned?": LINE, "groups?": [TEXT]}],
    "files?": [{"path": TEXT, "digest": DIGEST, "arch?": ARCH, "groups?": [TEXT]}],
    "charts?": [{"name": PART, "version": PART, "digest": DIGEST, "groups?": [TEXT]}],
    "metadata?": [{"repo": TEXT, "type": "modules|comps|updateinfo", "digest": DIGEST}],
    "absent?": [{"name": TEXT, "arch": ARCH, "why": TEXT}], "keys?": [{"id": KEY, "armor": LINES}],
    "blobs": [{"mediaType": LINE, "digest": DIGEST, "size": NUMBER}]}
KINDS = (  # artifacts that artifact manifests list: sort fields, path, reference, artifact type, media type of layers
    ("rpms", ("repo", "name", "evr", "arch"), lambda a: f'{a["repo"]}/{a["name"]}-{a["evr"].split(":", 1)[-1]}.{a["arch"]}.rpm',
     lambda a: "rpms/" + a["repo"], "rpms.v1", "application/x-rpm"),
    ("files", ("path",), lambda a: a["path"], lambda a: "files", "files.v1", "application/octet-stream"),
    ("charts", ("name", "version"), lambda a: a["name"] + "-" + a["version"] + ".tgz",
     lambda a: "charts/" + a["name"], "chart.v1", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"))

def need(ok, *what):
    if not ok:
        raise ValueError(" ".join(map(str, what)))
def digest_of(raw):
    return "sha256:" + hashlib.sha256(raw).hexdigest()
def encode(value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()

def rebuilt(v, shape):
    """Returns what the canonical form of v has: nothing empty, nothing unknown, all in order."""
    if isinstance(shape, dict):
        return {k.rstrip("?"): rebuilt(v[k.rstrip("?")], s) for k, s in shape.items() if k[-1] != "?" or v.get(k[:-1])}
    if isinstance(shape, list):
        return [rebuilt(one, shape[0]) for one in v]
    need(type(v) is int and 0 <= v < 1 << 63 if shape == NUMBER else type(v) is str and re.fullmatch(shape, v), repr(v), "is not", shape)
    return v

def header(name, size):
    number = b"%011o\0" % size if size < 8 << 30 else b"\x80\0\0\0" + size.to_bytes(8, "big")
    h = bytearray(name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + number + b"0" * 11 + b"\0" + b" " * 8
                  + b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(64) + b"0000000\0" * 2 + bytes(167))
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)

class Tar:
    """Reads a tar of our form from end to end. Entries are [name, size, offset, sha256]."""
    def __init__(self, path):
        self.file, self.entries, p = open(path, "rb"), [], 0
        self.size = self.file.seek(0, 2)
        while any(h := self.at(p, 512)):
            name = h[:100].rstrip(b"\0").decode()
            size = int.from_bytes(h[128:136], "big") if h[124] == 0x80 else int(h[124:135], 8)
            need(len(name) < 100 and size < 1 << 63 and header(name, size) == h and len(self.entries) < 1000000, "header at byte", p)
            content, end = hashlib.sha256(), p + 512 + size
            for q in range(p + 512, end, 1 << 20):
                content.update(self.at(q, min(1 << 20, end - q)))
            need(not any(self.at(end, -size % 512)), name, "has padding that is not zero")
            self.entries.append([name, size, p + 512, content.hexdigest()])
            p = end + -size % 512
        need(self.at(p, 1024) == bytes(1024) and self.size == p + 1024, "end of the archive")
        self.by_name = {e[0]: e for e in self.entries}

    def at(self, p, n):
        need(n <= self.size - p, "the file ends early")
        self.file.seek(p)
        return self.file.read(n)

    def read(self, name, limit):
        need(self.by_name[name][1] <= limit, name, "is too large")
        return self.at(self.by_name[name][2], self.by_name[name][1])

def blob_order(b):
    return not (b["mediaType"] == TABLE or b["mediaType"].endswith("+json") and b["size"] <= SMALL), b["digest"]
def rising(what, entries, *fields):
    keys = [[e[f].encode() for f in fields] for e in entries]
    need(all(a < b for a, b in zip(keys, keys[1:])), what, "are not sorted, or one stands twice")

def check_table(t, blobs):
    order, names = [blob_order(b) for b in t["blobs"]], [t["name"]]
    need(order == sorted(order) and len(blobs) == len(order) and sum(b["size"] for b in t["blobs"]) < 1 << 61, "order or sizes of blobs")
    need(t["arches"] == sorted(set(t["arches"])) != [] and t.get("groups", []) == sorted(set(t.get("groups", []))), "arches or groups")
    for what, *by in ("images", "name"), ("keys", "id"), ("absent", "name", "arch", "why"):
        rising(what, t.get(what, []), *by)
    for m in t.get("images", []):
        rising("platforms", m["platforms"], "platform")
        need(m["platforms"] and " " not in m["name"] and all("/" in p["platform"] for p in m["platforms"]), m["name"], "platforms")
        names += [m["name"]] + [p["platform"] for p in m["platforms"]]
    for kind, keys, path, *_ in KINDS:
        rising(kind, t.get(kind, []), *keys)
        paths = [path(a) for a in t.get(kind, [])]
        need(not any("\\" in p or {"", ".", ".."} & set(p.split("/")) for p in paths), kind, "have a path that is not clean")
        need(len(set(paths)) == len(paths), "two", kind, "have one path")
        names += paths + [g for a in [t] + t.get(kind, []) + t.get("images", []) for g in a.get("groups", [])]
    need(all(n and n.isprintable() for n in names), "a name is empty or not printable")

    rising("metadata", t.get("metadata", []), "repo", "type")
    for s in t.get("metadata", []):
        need(s["repo"] in {r["repo"] for r in t.get("rpms", [])} and blobs[s["digest"]]["size"] <= SLICE, "metadata of", s["repo"])

def slice_name(s):
    return s["type"] + (".yaml" if s["type"] == "modules" else ".xml")
def artifact(kind, config, layers):
    return encode({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": OURS + kind, "config": config, "layers": layers})
def sets(t, blobs):
    """Yields reference, type and bytes of each artifact manifest."""
    for kind, _, path, ref, artifact_type, media_type in KINDS:
        lists = {}
        for a in t.get(kind, []):
            layer = {"mediaType": media_type, "digest": a["digest"], "size": blobs[a["digest"]]["size"], "annotations": {TITLE: path(a)}}
            lists.setdefault(ref(a), []).append(layer)
        for s in t.get("metadata", []) if kind == "rpms" else []:
            lists["rpms/" + s["repo"]].append({
                "mediaType": OURS + s["type"] + ".v1+" + slice_name(s).split(".")[1], "digest": s["digest"],
                "size": blobs[s["digest"]]["size"], "annotations": {TITLE: s["repo"] + "/" + slice_name(s)}})
        for name, layers in lists.items():
            for n in range(0, len(layers), 2000):
                yield name + (f"+{n // 2000 + 1}" if n else ""), artifact_type, artifact(artifact_type, EMPTY, layers[n:n + 2000])

def platform(p):
    parts = [(p or {}).get(k, "") for k in ("os", "architecture", "variant")]
    return "/".join(parts[:2] + [v for v in parts[2:] if v and parts[1] != "arm64"]) if all(parts[:2]) else ""
def image_json(media_type, raw):
    """Returns the descriptors in a manifest, the config first, or in an index."""
    doc, index = json.loads(raw.decode()), media_type in INDEXES
    need(doc["schemaVersion"] == 2 and "fsLayers" not in doc and doc.get("mediaType", media_type) == media_type, "is not", media_type)
    need(index and not {"config", "layers"} & set(doc) or media_type in MANIFESTS and "manifests" not in doc, media_type, "is both, or neither")
    found = doc["manifests"] if index else [doc["config"]] + doc.get("layers", [])
    return [d for d in found if rebuilt(d, {"digest": DIGEST, "size": NUMBER})]

def derived(media_type, raw, keep):
    text = re.sub(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', lambda m: m[1] or "", raw.decode())
    scan, p, kept, total = json.JSONDecoder().raw_decode, 1, [], 0
    while text[p - 1] != "}":  # the members of the outermost object
        key, colon = scan(text, p)
        (value, end), q = scan(text, colon + 1), colon + 2  # behind the bracket of a list
        for entry in value if key == "manifests" else ():
            _, stop = scan(text, q)
            kept, total, q = kept + [text[q:stop]] * (entry["digest"] in keep), total + 1, stop + 1
        p = end + 1
    return raw if len(kept) == total else b'{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}' % (media_type.encode(), ",".join(kept).encode())

def check_image(m, blobs, read):
    """Returns the digests of all that the image needs."""
    want, top = {p["digest"]: p["platform"] for p in m["platforms"]}, blobs[m["digest"]]["mediaType"]
    entries, used = image_json(top, read(m["digest"])), {m["digest"], m.get("original", m["digest"]), *want}
    if top in MANIFESTS:
        need([p["digest"] for p in m["platforms"]] == [m["digest"]] and "original" not in m, m["name"], "has one platform, its own")
    for e in entries if top in INDEXES else []:
        have = blobs[e["digest"]]
        need(have["mediaType"] == e["mediaType"] in MANIFESTS and have["size"] == e["size"], e["digest"], "is another in the index")
        need(platform(e.get("platform")) == want.get(e["digest"]), e["digest"], "is for another platform in the index")
    need(top in MANIFESTS or {e["digest"] for e in entries} == set(want), m["name"], "lacks a platform in its index")
    for d, arch in want.items():
        parts = image_json(blobs[d]["mediaType"], read(d))
        need(all(b["size"] == blobs.get(b["digest"], {}).get("size") for b in parts), d, "needs what is not carried")
        need(platform(json.loads(read(parts[0]["digest"]).decode())) in ("", arch), d, "has a config of another platform")
        used |= {b["digest"] for b in parts}
    if "original" in m:
        kind, raw = blobs[m["original"]]["mediaType"], read(m["original"])
        need(image_json(kind, raw) and digest_of(derived(kind, raw, want)) == m["digest"], m["name"], "is not derived from its original")
    return used

def verify(path, expected=None):
    tar = Tar(path)
    need((names := [e[0] for e in tar.entries])[:2] == ["oci-layout", "index.json"] and tar.read(names[0], 30) == b'{"imageLayoutVersion":"1.0.0"}', "not an airbundle archive")
    need(all(e[0] == "blobs/sha256/" + e[3] for e in tar.entries[2:]), "a blob has other content than its name says")
    root, digest = tar.read(names[2], LARGE), "sha256:" + tar.entries[2][3]
    need(expected in (None, digest), "the root is", digest)
    table = {"mediaType": TABLE, **rebuilt(json.loads(root.decode())["config"], {"digest": DIGEST, "size": NUMBER})}
    need(root == artifact("bundle.v1", table, [EMPTY]), "the root has another form")
    t = rebuilt(json.loads((raw := tar.read("blobs/sha256/" + table["digest"][7:], LARGE)).decode()), SHAPE)
    need(encode(t) == raw, "the table is not in canonical form")
    check_table(t, blobs := {b["digest"]: b for b in t["blobs"]})
    made, used = {"mediaType": MANIFEST, "digest": digest, "size": len(root)}, {EMPTY["digest"]}
    listed = [{**made, "artifactType": OURS + "bundle.v1"}] + [{**blobs[m["digest"]], "annotations": {REF: m["name"]}} for m in t.get("images", [])]
    for ref, kind, content in sets(t, blobs):
        listed += [{"mediaType": MANIFEST, "digest": digest_of(content), "size": len(content), "annotations": {REF: ref}, "artifactType": OURS + kind}]
        used.add(digest_of(content))
    need(tar.read("index.json", LARGE) == encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}), "index.json is not what the root makes it")
    order = [made] + sorted(t["blobs"] + [table], key=blob_order)
    want = ["oci-layout", "index.json"] + ["blobs/sha256/" + b["digest"][7:] for b in order]
    need(names == want and [e[1] for e in tar.entries[2:]] == [b["size"] for b in order], "other entries than the table has, or in another order")
    for m in t.get("images", []):
        used |= check_image(m, blobs, lambda d: tar.read("blobs/sha256/" + d[7:], SMALL))
    used |= {a["digest"] for kind in ["metadata"] + [k for k, *_ in KINDS] for a in t.get(kind, [])}
    need(used == set(blobs), "belongs to nothing, or is not carried:", *sorted(used ^ set(blobs)))
    return digest

if __name__ == "__main__":
    try:
        print("ok", verify(*sys.argv[1:3]))
    except (ArithmeticError, LookupError, AttributeError, OSError, RecursionError, TypeError, ValueError) as e:
        sys.exit(f"{' '.join(sys.argv[1:2])}: {type(e).__name__}: {e}")
