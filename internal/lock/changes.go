package lock

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"airbundle/internal/lockfile"
)

// changes tells in words what is different between two locks, every field of it.
func changes(old, fresh *lockfile.Lock) []string {
	var c changeList
	c.fields("lock", reflect.ValueOf(old).Elem(), reflect.ValueOf(fresh).Elem())
	entries(&c, "image", old.Images, fresh.Images, func(i lockfile.Image) string { return i.Source })
	gone, come := upgrades(&c, old.RPMs, fresh.RPMs)
	entries(&c, "package", gone, come, func(p lockfile.RPM) string { return p.Path() })
	entries(&c, "key", old.Keys, fresh.Keys, func(k lockfile.Key) string { return k.ID })
	entries(&c, "file", old.Files, fresh.Files, func(f lockfile.File) string { return f.Path })
	entries(&c, "chart", old.Charts, fresh.Charts, func(h lockfile.Chart) string { return h.Name + " " + h.Version })
	entries(&c, "metadata", old.Metadata, fresh.Metadata, func(m lockfile.Metadata) string { return m.Type + " of " + m.Repo })
	entries(&c, "derived", old.Derived, fresh.Derived, func(d lockfile.Derived) string { return d.Path })
	entries(&c, "absence", old.Absent, fresh.Absent, func(a lockfile.Absent) string { return a.Source + a.Path + a.Name + " for " + a.Arch })
	entries(&c, "acceptance", old.Accept, fresh.Accept, func(a lockfile.Accept) string { return a.Finding + " of " + a.Artifact })
	return c
}

type changeList []string

func (c *changeList) add(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

// entries compares two lists of entries by their keys.
func entries[T any](c *changeList, kind string, old, fresh []T, key func(T) string) {
	before, after := map[string]T{}, map[string]T{}
	for _, e := range old {
		before[key(e)] = e
	}
	for _, e := range fresh {
		after[key(e)] = e
	}
	both := maps.Clone(before)
	maps.Copy(both, after)
	for _, name := range sortedKeys(both) {
		was, had := before[name]
		is, has := after[name]
		switch {
		case !had:
			c.add("new %s %s%s", kind, name, digestOf(is))
		case !has:
			c.add("gone: %s %s%s", kind, name, digestOf(was))
		default:
			c.fields(kind+" "+name, reflect.ValueOf(was), reflect.ValueOf(is))
		}
	}
}

// digestOf is the digest of an entry that has one.
func digestOf(entry any) string {
	if f := reflect.ValueOf(entry).FieldByName("Digest"); f.IsValid() {
		return " " + f.String()
	}
	return ""
}

// fields compares two structs field by field; lists of entries are left to entries. What
// follows from another digest is not told beside it.
func (c *changeList) fields(what string, old, fresh reflect.Value) {
	d := old.FieldByName("Digest")
	moved := d.IsValid() && d.String() != fresh.FieldByName("Digest").String()
	for i := range old.NumField() {
		name, a, b := old.Type().Field(i).Tag.Get("yaml"), old.Field(i), fresh.Field(i)
		if name == "-" || a.Kind() == reflect.Slice && a.Type().Elem().Kind() == reflect.Struct {
			continue
		}
		was, is := show(a), show(b)
		switch kind, rest, _ := strings.Cut(what, " "); {
		case was == is, moved && (name == "size" || name == "platforms"):
		case name == "armor":
			c.add("%s: its armor is another one", what)
		case name == "digest" && kind == "image":
			c.add("moved %s: %s → %s", rest, was, is)
		case name == "digest" && kind == "package":
			c.add("upstream changed %s: %s → %s", rest, was, is)
		case name == "digest":
			c.add("changed %s: %s → %s", what, was, is)
		default:
			c.add("%s: %s %s → %s", what, name, was, is)
		}
	}
}

// show gives a value on one line. Groups and arches have no order.
func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []string:
		return "[" + strings.Join(x, ", ") + "]"
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Map:
		var parts []string
		for key, val := range v.Seq2() {
			parts = append(parts, key.String()+" "+val.String())
		}
		slices.Sort(parts)
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.String:
		if s := v.String(); strings.ContainsAny(s, " \n") || s == "" {
			return fmt.Sprintf("%q", s)
		}
	}
	return fmt.Sprint(v.Interface())
}

// upgrades tells of packages that come in another version, and returns what is left to
// compare.
func upgrades(c *changeList, old, fresh []lockfile.RPM) (gone, come []lockfile.RPM) {
	group := func(list []lockfile.RPM, other []lockfile.RPM) map[string][]lockfile.RPM {
		there := map[string]bool{}
		for _, p := range other {
			there[p.Path()] = true
		}
		out := map[string][]lockfile.RPM{}
		for _, p := range list {
			if !there[p.Path()] {
				key := p.Repo + "/" + p.Name + "." + p.Arch
				out[key] = append(out[key], p)
			}
		}
		return out
	}
	left, came := group(old, fresh), group(fresh, old)
	told := map[string]bool{}
	for _, key := range sortedKeys(left) {
		if len(left[key]) == 1 && len(came[key]) == 1 {
			c.add("package %s: %s → %s", key, left[key][0].EVR, came[key][0].EVR)
			told[left[key][0].Path()], told[came[key][0].Path()] = true, true
		}
	}
	keep := func(p lockfile.RPM) bool { return !told[p.Path()] }
	return only(old, keep), only(fresh, keep)
}
