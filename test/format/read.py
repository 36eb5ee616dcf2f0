#!/usr/bin/env python3
"""Verifies every byte of an airbundle archive: read.py FILE [ROOT-DIGEST]. Written from docs/format.md alone (sections 5 to 8).
Prints `ok sha256:<root digest>` and exits 0, or says on one line of stderr what is wrong and exits 1. Signatures are not its business."""
import hashlib, itertools, json, os, re, sys, unicodedata
MIB, LAYOUT, OWN = 1 << 20, b'{"imageLayoutVersion":"1.0.0"}', "application/vnd.airbundle."
INDEXES = "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"
TABLE, REF, TITLE = OWN + "table.v1+json", "org.opencontainers.image.ref.name", "org.opencontainers.image.title"
RPM, FILE, CHART = "application/x-rpm", "application/octet-stream", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
SLICES, PART = {"modules": "yaml", "comps": "xml", "updateinfo": "xml"}, r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
TAGGED = rf"(?=[^:@]{{1,255}}[:@]){PART}(/{PART})*(:[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,127}}"
MEMBERS = {  # of the objects in the table, in their order; `?` marks optional ones
    "table": "name serial? expires? lock arches groups? images? rpms? files? charts? metadata? absent? keys? blobs",
    "images": "name digest original? platforms publish? groups?", "platforms": "platform digest",
    "rpms": "name evr arch basearch repo digest signer? unsigned? groups?", "files": "path digest arch? groups?",
    "charts": "name version digest groups?", "metadata": "repo type digest", "absent": "name arch why",
    "keys": "id armor", "blobs": "mediaType digest size"}
SORTED_BY = {"images": "name", "platforms": "platform", "rpms": "repo name evr arch", "files": "path", "charts": "name version",
             "metadata": "repo type", "absent": "name arch why", "keys": "id"}
TYPE = "/".join(["[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"] * 2)
DIGEST, KEY, ARCHES = "sha256:[0-9a-f]{64}", "[0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64}", {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
NAME = (r"(?=localhost/|[^/]*[.:A-Z])(?!index\.docker\.io/|docker\.io/[^/]*\Z)(LABEL(\.LABEL)*|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/"
        .replace("LABEL", "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?") + f"{TAGGED}|@{DIGEST})")  # of an image in a registry
FORMS = {"digest": DIGEST, "lock": DIGEST, "original": DIGEST, **dict.fromkeys("arches basearch arch".split(), "|".join(ARCHES.values())),
         "rpms.name": "[A-Za-z0-9_][A-Za-z0-9._+-]*", "evr": "([1-9][0-9]{0,9}:)?[A-Za-z0-9._+~^]+-[A-Za-z0-9._+~^]+", "name": ".+",
         "rpms.arch": "[a-z0-9_]+", "charts.name": "[A-Za-z0-9][A-Za-z0-9._-]*", "version": "[A-Za-z0-9][A-Za-z0-9.+-]*",
         "armor": r"(?s)\s*-----BEGIN PGP PUBLIC KEY BLOCK-----((?!PRIVATE KEY).)*-----END PGP PUBLIC KEY BLOCK-----\s*",
         "id": KEY, "signer": KEY, "groups": ".+", "why": ".+", "type": "|".join(SLICES), "platform": "|".join(ARCHES), "mediaType": TYPE,
         "expires": "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}Z", "publish": TAGGED + ")"}
KNOWN = {name.lower(): name for name in "schemaVersion mediaType manifests config layers fsLayers".split()}
HIDDEN = re.compile("[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff]")
def need(condition, *what):
    if not condition: raise ValueError(" ".join(map(str, what)))
def sha256(content): return "sha256:" + hashlib.sha256(content).hexdigest()
def descriptor(media, content): return {"mediaType": media, "digest": sha256(content), "size": len(content)}
EMPTY = descriptor("application/vnd.oci.empty.v1+json", b"{}")
def canonical(value): return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()  # HIDDEN has U+2028
def manifest(kind, config, layers):
    return canonical({"schemaVersion": 2, "mediaType": MANIFESTS[0], "artifactType": kind, "config": config, "layers": layers})
def printable(text): return all(c == " " or unicodedata.category(c)[0] in "LMNPS" for c in text)
def check_object(kind, entry, where):  # members, their order, types and forms, and the order of lists
    wanted = MEMBERS[kind].split()
    need(type(entry) is dict and [*entry] == [m.strip("?") for m in wanted if m[-1] != "?" or m[:-1] in entry], where, "has another form")
    for member, value in entry.items():
        here, is_list = f"{where}.{member}", member in MEMBERS or member in ("arches", "groups", "publish")
        need(type(value) is (list if is_list else int if member in ("serial", "size") else str), here, "has another type")
        need(type(value) is not int or 0 <= value < 2**63, here, "is not a number from 0 to 2^63-1")
        need(value or not is_list and member + "?" not in wanted, here, "is empty")
        for item in value if is_list and member not in MEMBERS else [value] * (type(value) is str):
            need(type(item) is str and re.fullmatch(FORMS.get(f"{kind}.{member}", FORMS.get(member, "(?s:.*)")), item)
                 and not HIDDEN.search(re.sub("[\t\n\r]", "", item) if member == "armor" else item) and (printable(item)
                 or member != "groups" and kind + member not in ("tablename", "imagesname")), here, "is not right:", ascii(item))
        for number, item in enumerate(value if member in MEMBERS else []):
            check_object(member, item, f"{here}[{number}]")
        if member in SORTED_BY or member == "arches" or (kind, member) == ("table", "groups"):
            keys = [[item[field] for field in SORTED_BY[member].split()] if member in SORTED_BY else item for item in value]
            need(all(a < b for a, b in zip(keys, keys[1:])), here, "is not sorted, or has an entry twice")
def archive_order(blob):
    return blob["mediaType"] != TABLE and (not blob["mediaType"].endswith("+json") or blob["size"] > 4 * MIB), blob["digest"]
def saying(use):  # sorts by digest, and what says most first
    return use["digest"], use["mediaType"] not in INDEXES + MANIFESTS, not use["mediaType"].endswith("+json"), use["mediaType"]
def rpm_path(rpm): return f'{rpm["repo"]}/{rpm["name"]}-{rpm["evr"].split(":", 1)[-1]}.{rpm["arch"]}.rpm'
def check_table(table):  # What section 6 says of the table beyond the form of its members. Gives the blobs by digest.
    check_object("table", table, "table")
    images, rpms, files, charts, metadata = (table.get(kind, []) for kind in ("images", "rpms", "files", "charts", "metadata"))
    order, blobs = [*map(archive_order, table["blobs"])], {blob["digest"]: blob for blob in table["blobs"]}
    need(len(blobs) == len(order) < 10**6 - 3 and order == sorted(order), "table.blobs: a digest twice, too many, or not in order")
    for entry in itertools.chain(images, rpms, files, charts, metadata, table.get("absent", []), *(image["platforms"] for image in images)):
        arch = entry.get("basearch", entry.get("arch", ARCHES.get(entry.get("platform"), table["arches"][0])))
        need(arch in table["arches"] and all(entry[m] in blobs for m in {"digest", "original"} & entry.keys()), "not carried", ascii(entry))
    for paths in [*map(rpm_path, rpms)], [file["path"] for file in files], [*map("{0[name]}-{0[version]}.tgz".format, charts)]:
        need(len({*paths}) == len(paths) and all(printable(path) and "\\" not in path and not {"", ".", ".."} & {*path.split("/")}
                                                 for path in paths), "table: a path twice, or one that is not clean")
    for image in images:
        need(image["name"] in image.get("publish", [])[:1] or re.fullmatch(NAME, image["name"]) and image["name"].partition("@")[2] in
             ("", image["digest"], image.get("original")), "table: not the name of an image:", ascii(image["name"]))
    need({cut["repo"] for cut in metadata} <= {rpm["repo"] for rpm in rpms}
         and all(blobs[cut["digest"]]["size"] <= 32 * MIB for cut in metadata), "table: metadata too large, or of no RPM")
    return blobs
def artifact_manifests(table, blobs):  # Yields REF, TYPE and content of each artifact manifest, in order.
    lists = []
    for repo, rpms in itertools.groupby(table.get("rpms", []), lambda rpm: rpm["repo"]):
        slices = [(f"{OWN}{cut['type']}.v1+{SLICES[cut['type']]}", cut["digest"], f"{repo}/{cut['type']}.{SLICES[cut['type']]}")
                  for cut in table.get("metadata", []) if cut["repo"] == repo]
        lists.append((f"rpms/{repo}", OWN + "rpms.v1", [(RPM, rpm["digest"], rpm_path(rpm)) for rpm in rpms] + slices))
    lists.append(("files", OWN + "files.v1", [(FILE, file["digest"], file["path"]) for file in table.get("files", [])]))
    for name, charts in itertools.groupby(table.get("charts", []), lambda chart: chart["name"]):
        lists.append((f"charts/{name}", OWN + "chart.v1", [(CHART, c["digest"], f"{name}-{c['version']}.tgz") for c in charts]))
    for ref, kind, layers in lists:
        for start in range(0, len(layers), 2000):
            yield ref + (f"+{start // 2000 + 1}" if start else ""), kind, manifest(kind, EMPTY, [
                {"mediaType": media, "digest": digest, "size": blobs[digest]["size"], "annotations": {TITLE: title}}
                for media, digest, title in layers[start:start + 2000]])
def header(name, size):
    digits = b"%011o\0" % size if size < 8 << 30 else b"\x80\0\0\0" + size.to_bytes(8, "big")
    block = name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + digits + b"00000000000\0" + b" " * 8 + b"0"
    block = (block.ljust(257, b"\0") + b"ustar\x0000").ljust(329, b"\0") + b"0000000\0" * 2 + bytes(167)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
def read(file, offset, size, what, limit=16 * MIB):
    need(size <= limit, what, "is too large")
    content = os.pread(file.fileno(), size, min(offset, 1 << 62))
    need(len(content) == size, what, "ends early")
    return content
def read_header(file, offset):
    block = read(file, offset, 512, f"the header at byte {offset}")
    size = int.from_bytes(block[128:136], "big") if block[124] == 0x80 else int(b"0" + re.match(b"[0-7]*", block[124:])[0], 8)
    return block[:100].rstrip(b"\0"), size
def check_entries(file, entries):  # compares every byte; gives the offsets of contents by digest
    end, offsets = 0, {}
    for name, blob in entries:
        start, size, digest, hashed = end + 512, blob["size"], blob["digest"], hashlib.sha256()
        need(read(file, end, 512, name) == header(name, size), "the header at byte", end, "is not that of", name)
        offsets[digest], end = start, start + size
        for position in range(start, end, MIB):
            hashed.update(read(file, position, min(MIB, end - position), name))
        need("sha256:" + hashed.hexdigest() == digest, name, "has other content than its name")
        need(not any(read(file, end, -size % 512, name)), name, "has padding that is not zero")
        end += -size % 512
    need(read(file, end, 1024, "the file") == bytes(1024) == os.pread(file.fileno(), 1025, end), "another end of the archive at", end)
    return offsets
def pieces(text):  # The texts of what is in a JSON list or object without white space: items, or keys and values.
    start = 1
    while start < len(text) - 1:
        end = json.JSONDecoder().raw_decode(text, start)[1]
        yield text[start:end]
        start = end + 1
def platform(of):
    system, machine, variant = map(of.get, ("os", "architecture", "variant")) if type(of) is dict else ("", "", "")
    return f"{system}/{machine}" + (f"/{variant}" if variant and machine != "arm64" else "") if system and machine else None
def check_document(text, kind, what):  # gives the descriptors of an index or manifest, and the texts of its members
    doc, is_index = json.loads(text, parse_constant=int), kind in INDEXES
    need(type(doc) is dict and kind in INDEXES + MANIFESTS, what, "is neither index nor manifest")
    texts = [*pieces("".join(re.findall(r'"(?:[^"\\]|\\.)*"|[^" \t\r\n]+', text)))]
    keys = [json.loads(key) for key in texts[::2]]
    need(len({*keys}) == len(keys) and all(KNOWN.get(key.casefold(), key) == key for key in keys), what, "has a member twice")
    need(not {"fsLayers", *(("config", "layers") if is_index else ["manifests"])} & {*keys}, what, "has members of another kind")
    need(repr(doc.get("schemaVersion")) == "2" and doc.get("mediaType", kind) == kind, what, "says another version or media type")
    parts = doc.get("manifests") if is_index else [doc.get("config"), *(doc.get("layers") or [])]
    need(type(parts) is list and all(type(part) is dict and re.fullmatch(DIGEST, str(part.get("digest")))
         and re.fullmatch(TYPE, str(part.get("mediaType"))) and type(part.get("size")) is int and part["size"] >= 0
         for part in parts), what, "has a descriptor without media type, digest or size")
    return parts, dict(zip(keys, texts[1::2]))
def check_image(image, blobs, content):  # Walks an image as section 7 says. Gives the descriptors of what it needs.
    top, kind = image["digest"], blobs[image["digest"]]["mediaType"]
    needed, platforms = [blobs[top], blobs[image.get("original", top)]], {(p["digest"], p["platform"]) for p in image["platforms"]}
    children = check_document(content(top), kind, top)[0] if kind in INDEXES else [blobs[top]]
    need({child["digest"] for child in children} == dict(platforms).keys() and len(dict(platforms)) == len(platforms), top, "lists others")
    for child in children:
        digest = child["digest"]
        need(kind not in INDEXES or (digest, platform(child.get("platform"))) in platforms, digest, "is of another platform")
        need({key: child.get(key) for key in EMPTY} == blobs[digest] and child["mediaType"] in MANIFESTS, digest, "is otherwise in blobs")
        parts = check_document(content(digest), child["mediaType"], digest)[0]
        need(all(blobs.get(part["digest"], EMPTY)["size"] == part["size"] for part in parts), digest, "needs other blobs")
        config = platform(json.loads(content(parts[0]["digest"]), parse_constant=int))
        need(config is None or (digest, config) in platforms, digest, "has a config of another platform")
        needed += [child, *parts]
    if "original" in image:
        kind = blobs[image["original"]]["mediaType"]
        parts, texts = check_document(content(image["original"]), kind, image["original"])
        kept = [text for part, text in zip(parts, pieces(texts.get("manifests", ""))) if part["digest"] in dict(platforms)]
        derived = '{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}' % (kind, ",".join(kept))
        need(len(kept) < len(parts) and sha256(derived.encode("utf-8", "surrogateescape")) == top, top, "is not derived from its original")
    return needed
def verify(file, expected):  # The steps of section 8. Gives the digest of the root.
    need(read(file, 0, 512, "the file") == header("oci-layout", len(LAYOUT)), "this is not an airbundle")
    size = read_header(file, 1024)[1]
    index, offset = read(file, 1536, size, "index.json"), 1536 + size + -size % 512
    name, size = read_header(file, offset)
    root = read(file, offset + 512, size, "the root")
    said = re.search(rb'"digest":"(sha256:[0-9a-f]{64})","size":([1-9][0-9]{0,7})}', root)
    config = {"mediaType": TABLE, "digest": said[1].decode(), "size": int(said[2])} if said else {}
    need(root == manifest(OWN + "bundle.v1", config, [EMPTY]), "the root has another form")
    need(expected in (None, sha256(root)), "another root than expected:", sha256(root))
    for _ in itertools.takewhile(lambda _: name[13:] != said[1][7:], range(10**6)):  # behind blobs/sha256/ and sha256:
        offset += 512 + size + -size % 512
        name, size = read_header(file, offset)
    content = read(file, offset + 512, config["size"], "the table")
    blobs = check_table(table := json.loads(content.decode(), parse_constant=int))
    need(sha256(content) == config["digest"] and canonical(table) == content, "the table has another digest, or is not canonical")
    uses, listed = [EMPTY], [descriptor(MANIFESTS[0], root) | {"artifactType": OWN + "bundle.v1"}]
    listed += [blobs[image["digest"]] | {"annotations": {REF: image["name"]}} for image in table.get("images", [])]
    for ref, kind, made in artifact_manifests(table, blobs):
        listed.append(descriptor(MANIFESTS[0], made) | {"annotations": {REF: ref}, "artifactType": kind})
        need(blobs.get(sha256(made)) == descriptor(MANIFESTS[0], made), "table.blobs lacks the artifact manifest", ref)
        uses += [listed[-1], *json.loads(made)["layers"]]
    need(index == canonical({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": listed}), "index.json is not what follows")
    offsets = check_entries(file, [("oci-layout", descriptor("", LAYOUT)), ("index.json", descriptor("", index))] + [
        ("blobs/sha256/" + blob["digest"][7:], blob) for blob in listed[:1] + sorted([config, *table["blobs"]], key=archive_order)])
    def content_of(digest): return read(file, offsets[digest], blobs[digest]["size"], digest, 4 * MIB).decode("utf-8", "surrogateescape")
    uses += itertools.chain(*(check_image(image, blobs, content_of) for image in table.get("images", [])))
    for digest, kinds in itertools.groupby(sorted(uses, key=saying), lambda use: use["digest"]):
        need(blobs.pop(digest, {}).get("mediaType") == next(kinds)["mediaType"], digest, "has another media type in blobs, or is not there")
    need(not blobs, "blobs that nothing needs:", *blobs)
    return sha256(root)
if __name__ == "__main__":
    try:
        print("ok", verify(open(sys.argv[1], "rb"), *(sys.argv[2:3] or [None])))
    except (LookupError, OSError, ValueError, RecursionError, OverflowError, TypeError) as problem:
        sys.exit("read.py: " + " ".join(str(problem).split()))
