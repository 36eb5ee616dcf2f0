#!/usr/bin/python3
"""Answers requests with dnf 4, many in one process.

Reads a list of jobs from stdin:
  {"arch", "repos": [{"id", "url", "priority", "exclude"}], "cache": DIR, "root": DIR, "names": bool,
   "requests": [{"id", "install": [...], "exclude": [...], "modules": [...], "weak": bool,
                 "notbest": bool, "lock": [NEVRA...]}]}
and writes a list of what came of them to stdout:
  {"available", "loadSeconds", "peakKiB", "names": [...],
   "results": [{"id", "packages": [NEVRA...], "choices", "seconds", "missing": [spec...],
                "error": text, "judged": {check: text}}]}

A NEVRA has its epoch only when it is not 0. A result has packages, or missing, or error.
choices counts the requirements inside the answer that more than one package name meets:
with 0 of them there was nothing to choose. With "lock", that lock is judged: which of
exists, closed, coinstall, multilib and best it fails, and how; judged is empty when it is as
good as dnf's own. With "root", what the rpmdb below it has is installed already; with "cache", parsed
metadata is kept there. Nothing
is installed or downloaded but metadata.
"""
import json, logging, os, shutil, sys, tempfile, time

import dnf, dnf.exceptions, dnf.module.module_base, dnf.rpm, hawkey, libdnf


def nevra(p):
    return str(p)


class Bases:
    """Opens a base for what the requests of a run have in common."""

    def __init__(self, job, tmp):
        self.job, self.tmp, self.n = job, tmp, 0
        self.key, self.base = None, None

    def get(self, request):
        groups = any(s.startswith("@") for s in request["install"])
        key = json.dumps([request.get("exclude") or [], request.get("modules") or [], groups and request["id"]])
        if key != self.key:
            if self.base:
                self.base.close()
            self.key, self.base = None, None
            self.base = self.open(request.get("exclude") or [], request.get("modules") or [], groups)
            self.key = key
        self.base.conf.best = not request.get("notbest")
        self.base.conf.install_weak_deps = bool(request.get("weak"))
        self.base.reset(goal=True)
        return self.base

    def open(self, exclude, modules, groups, keep=None):
        self.n += 1
        b, job = dnf.Base(), self.job
        c = b.conf
        c.installroot = job.get("root") or os.path.join(self.tmp, "root")
        c.cachedir = job.get("cache") or os.path.join(self.tmp, "cache")
        c.persistdir = os.path.join(self.tmp, "persist%d" % self.n)
        c.logdir = os.path.join(self.tmp, "log")
        for d in (c.installroot, c.cachedir, c.persistdir, c.logdir):
            os.makedirs(d, exist_ok=True)
        c.reposdir, c.plugins, c.gpgcheck, c.zchunk, c.tsflags = [], False, False, False, []
        c.arch, c.ignorearch = job["arch"], True
        c.substitutions.update(releasever="9", arch=job["arch"], basearch=dnf.rpm.basearch(job["arch"]))
        c.obsoletes, c.multilib_policy, c.excludepkgs = True, "best", exclude
        c.module_platform_id = job.get("platform", "platform:el9")
        c.metadata_expire = 3600  # the cache is as old as the run
        for r in job["repos"]:
            repo = b.repos.add_new_repo(r["id"], c, [r["url"]])
            repo.priority = r.get("priority") or 99
            repo.excludepkgs = r.get("exclude") or []
            repo.skip_if_unavailable = False
        b.fill_sack(load_system_repo=bool(job.get("root")))
        if groups:
            b.read_comps(arch_filter=True)
        if modules:
            enable(b, modules)
        if keep is not None:
            here = b.sack.query().available()
            gone = here.filter(pkg=[p for p in here if nevra(p) not in keep])
            b.sack.add_excludes(gone)
        return b


def enable(b, modules):
    """Enables streams as the command line does: trouble with defaults only is told, and no more."""
    try:
        dnf.module.module_base.ModuleBase(b).enable(modules)
    except dnf.exceptions.MarkingErrors as e:
        defaults = libdnf.module.ModulePackageContainer.ModuleErrorType_ERROR_IN_DEFAULTS
        if e.no_match_group_specs or e.error_group_specs or e.module_depsolv_errors[1] != defaults:
            raise


def solve(b, specs):
    """Marks and resolves as the command line does, groups first."""
    missing = []
    for s in [s for s in specs if s.startswith("@")] + [s for s in specs if not s.startswith("@")]:
        try:
            if s.startswith("@"):
                b.install_specs([s], strict=True)
            else:
                b.install(s, strict=True)
        except (dnf.exceptions.MarkingError, dnf.exceptions.MarkingErrors):
            missing.append(s)
    if missing:
        return {"missing": missing}
    t = time.monotonic()
    try:
        b.resolve(allow_erasing=False)
    except dnf.exceptions.DepsolveError as e:
        return {"error": str(e)}
    return {"packages": sorted(nevra(p) for p in b.transaction.install_set), "seconds": round(time.monotonic() - t, 4)}


def choices(b):
    n, seen, q = 0, {}, b.sack.query()
    for p in b.transaction.install_set:
        for r in p.requires:
            t = str(r)
            if t not in seen:
                seen[t] = t.startswith("(") or len({x.name for x in q.filter(provides=r)}) > 1
            n += seen[t]
    return n


def judge(bases, request, own):
    lock, bad = set(request["lock"]), {}
    full = bases.get(request)
    known = {nevra(p) for p in full.sack.query(flags=hawkey.IGNORE_EXCLUDES)}
    if lock - known:
        bad["exists"] = " ".join(sorted(lock - known))
    multilib = [n for n in lock - own if n.endswith((".i686", ".i586", ".i386"))]
    if multilib:
        bad["multilib"] = " ".join(sorted(multilib))
    tails = {(n.rsplit("-", 2)[0], n.rsplit(".", 1)[1]): n for n in own}
    older = [n for n in lock if tails.get((n.rsplit("-", 2)[0], n.rsplit(".", 1)[1]), n) != n]
    if older:
        bad["best"] = " ".join(sorted(older))
    groups = any(s.startswith("@") for s in request["install"])
    b = bases.open(request.get("exclude") or [], request.get("modules") or [], groups, lock)
    b.conf.best, b.conf.install_weak_deps = not request.get("notbest"), bool(request.get("weak"))
    got = solve(b, request["install"])
    if "packages" not in got:
        bad["closed"] = got.get("error") or "no match for " + " ".join(got["missing"])
    b.reset(goal=True)
    done = set()
    for p in b.sack.query().available():
        if nevra(p) in lock and nevra(p) not in done:
            done.add(nevra(p))
            b.package_install(p)
    try:
        b.resolve()
        left = lock - {nevra(p) for p in b.transaction.install_set}
        if left:
            bad["coinstall"] = "left out: " + " ".join(sorted(left))
    except dnf.exceptions.DepsolveError as e:
        bad["coinstall"] = str(e)
    b.close()
    return bad


def answer(bases, request):
    try:
        b = bases.get(request)
    except dnf.exceptions.MarkingErrors as e:
        return {"id": request["id"], "error": "modules: %s" % e}
    r = solve(b, request["install"])
    if "packages" in r:
        r["choices"] = choices(b)
    if request.get("lock") is not None:
        r["judged"] = judge(bases, request, set(r.get("packages") or []))
    return dict(r, id=request["id"])


def run(job):
    tmp = tempfile.mkdtemp(prefix="oracle.")
    try:
        bases = Bases(job, tmp)
        t = time.monotonic()
        b = bases.get({"id": "", "install": []})
        out = {"loadSeconds": round(time.monotonic() - t, 3), "available": len(b.sack)}
        if job.get("names"):
            out["names"] = sorted({p.name for p in b.sack.query().available() if p.arch not in ("i686", "src")})
        out["results"] = [answer(bases, r) for r in job.get("requests") or []]
        # Not getrusage: its maximum is that of the program before exec too.
        out["peakKiB"] = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
        if bases.base:
            bases.base.close()
        return out
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def main():
    logging.getLogger("dnf").setLevel(logging.CRITICAL + 1)
    json.dump([run(job) for job in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
