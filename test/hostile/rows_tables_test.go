package hostile

import "strings"

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
		add("A33", "absent is "+bad, "no source of an image, and no path", swap(`"absent":[{`+pause, `"absent":[{"name":"`+bad+`"`))
	}
	return all
}
