package lint

import (
	"cmp"
	"strings"

	"airbundle/internal/lockfile"
)

// A decodeKind tells by the words of a problem which finding it is: those that it
// begins with, or that are in it.
type decodeKind struct {
	begin, words, id, do string
}

// decodeKinds in the order in which they are tried.
func decodeKinds() []decodeKind {
	const sized = "write the size in bytes; bundler lock finds it out"
	return []decodeKind{
		{"", "holds a user name or password", Userinfo, "take the login out of the URL; if it was ever shared, change it"},
		{"", "with another digest", TwoDigests, "keep the one that is wanted, or give the other another name"},
		{"digest is not the one that source pins", "", TwoDigests, "make source and digest name the same"},
		{"", "is a duplicate of", Duplicate, "remove one of them"},
		{"platforms lack", "", ArchGap, "pin the missing platform, or say under absent: why there is none"},
		{"size ", "the same digest has size", MissingSize, "look which of the sizes is right"},
		{"size ", "", MissingSize, sized},
		{"digest ", "", BadDigest, "write sha256: and the 64 lower-case hex digits of the content's sha256; bundler lock finds it out"},
	}
}

// decodeFindings gives the problems for which a lock is refused as findings.
func decodeFindings(problems *lockfile.Errors) []Finding {
	var out []Finding
	for _, p := range problems.List {
		f := Finding{ID: BadEntry, Kind: "lock", Artifact: p.File, File: p.File, Line: p.Line, What: p.Msg, Do: "mend the entry; nothing can be built from the lock before"}
		if kind, name, _ := strings.Cut(p.Entry, " "); kind != "" {
			f.Kind, f.Artifact = kind, cmp.Or(name, p.File)
			f.What = strings.TrimPrefix(p.Msg, p.Entry+": ")
		}
		for _, k := range decodeKinds() {
			if strings.HasPrefix(f.What, k.begin) && strings.Contains(f.What, k.words) {
				f.ID, f.Do = k.id, k.do
				break
			}
		}
		out = append(out, f)
	}
	if problems.More > 0 {
		last := problems.List[len(problems.List)-1]
		out = append(out, Finding{ID: BadEntry, Kind: "lock", Artifact: last.File, File: last.File, What: "there are more problems than are listed", Do: "mend these, and lint again"})
	}
	return out
}
