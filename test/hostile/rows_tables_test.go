package hostile

import (
	"regexp"
	"strings"
)

// unlockable are tables that no lock gives, in bundles whose digests hold.
func (g genuine) unlockable(table int) []mutation {
	var all []mutation
	add := func(row, name, says string, e edit) {
		all = append(all, mutation{row: row, name: name, says: says, raw: func() []byte { return g.rehash(table, e).raw }})
	}
	const pause = `"name":"registry.k8s.io/pause:3.2"`
	named := func(with string) edit { return swap(pause, `"name":"`+with+`"`) }
	for _, bad := range []string{"../../etc:1", "/abs:1", `a\\b:1`, "http://r.io/x:1", "DOCKER.IO/Library/X:1", "a:b:c", "r.io/x@sha256:12", "r.io/x:", "r.io/X:1"} {
		add("A33", "image called "+bad, "its name is no valid image reference", named(bad))
	}
	for _, bad := range []string{"pause:3.2", "r.io/x", "index.docker.io/a/b:1", "docker.io/b:1", "r.io/x:1@sha256:" + strings.Repeat("0", 64)} {
		add("A33", "image called "+bad, "its name is not written out as", named(bad))
	}
	add("A36", "image pinned to another digest", "pins a digest that is neither", named("r.io/x@sha256:"+strings.Repeat("0", 64)))
	for _, bad := range []string{"../../etc:1", "/abs:1", `a\\b:1`, "http://r.io/x:1", ""} {
		add("A33", "absent is "+bad, "no name of an image, and no path", swap(`"absent":[{`+pause, `"absent":[{"name":"`+bad+`"`))
	}
	rpm := func(old, with string) edit {
		return swap(`"evr":"1.2-3","arch":"aarch64"`, strings.Replace(`"evr":"1.2-3","arch":"aarch64"`, old, with, 1))
	}
	add("A36", "package without a name", `name "" is not the name of an RPM`, swap(`"name":"hello"`, `"name":""`))
	for _, bad := range []string{"", "1.2", "a:1.2-3", "0:1.2-3", "99999999999:1.2-3", "1.2-3/"} {
		add("A36", "package of evr "+bad, "evr .* is not version-release", rpm("1.2-3", bad))
	}
	add("A36", "package without an arch", `arch "" is not the arch of an RPM`, rpm("aarch64", ""))
	add("A36", "package of another arch", `a package of "x86_64" in a set of "aarch64"`, rpm("aarch64", "x86_64"))
	for name, c := range map[string]struct{ with, says string }{
		"package with signer and reason":    {`$0,"unsigned":"ours"`, "it has both a signer and a reason"},
		"package without signer and reason": {"", "it has neither a signer nor a reason"},
		"signer without a key":              {`,"signer":"0000000000000000"`, "is not one of the keys"},
	} {
		add("S01", name, c.says, func(s string) string { return signer.ReplaceAllString(s, c.with) })
	}
	add("S01", "private key", "holds a private key", func(s string) string { return strings.ReplaceAll(s, "PUBLIC KEY", "PRIVATE KEY") })
	add("S01", "key that is none", "is not an armored public key", swap("BEGIN PGP", "BEGIN PGQ"))
	add("A34", "publish name twice in an image", "stands twice", swap(`,"groups":["core"]`, `,"publish":["a:1","a:1"]`))
	add("A34", "publish name of two images", `publish name "a:1" stands twice`, func(s string) string {
		return strings.Replace(strings.Replace(s, `,"groups":["core"]`, `,"publish":["a:1"]`, 1), `,"groups":["core"]`, `,"publish":["a:1"]`, 1)
	})
	add("A36", "group twice", `group "core" stands twice`, swap(`"groups":["core"]`, `"groups":["core","core"]`))
	add("A36", "groups selected that others have", "it has none of the groups selected", swap(`"images":`, `"groups":["zzz"],"images":`))
	add("A34", "file below a file", `it is below the file "big/file"`, swap(`"path":"etcd/amd64/etcd.tar.gz"`, `"path":"big/file/x"`))
	add("A36", "arch missing without a word", "it has no platform of aarch64, and nothing says", swap(`"absent":[{`+pause, `"absent":[{"name":"registry.k8s.io/pause:3"`))
	add("A36", "arch there and said to be absent", "it has x86_64, and is said to be absent", swap(`"arch":"aarch64","why"`, `"arch":"x86_64","why"`))
	return all
}

// signer matches what a table says of who signed a package.
var signer = regexp.MustCompile(`,"signer":"[0-9a-f]{16}"`)
