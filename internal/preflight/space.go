package preflight

import (
	"fmt"
	"slices"
	"strings"

	"airbundle/internal/report"
)

// defaultStore is the blob store that every new Nexus has.
const defaultStore = "default"

// orientFloor is what an OrientDB wants to have left on its disk: below, it freezes itself
// (storage.diskCache.diskFreeSpaceLimit, 4 GiB unless set otherwise).
const orientFloor = 4 << 30

// move says how much is to be sent.
func (j *judge) move() {
	const name = "bytes to move"
	if j.q.Move == nil {
		return
	}
	var sum int64
	for _, n := range j.q.Move {
		sum += n
	}
	said := report.Bytes(sum)
	if j.q.AtMost {
		said = "at most " + said + "; how much of it is there already takes the archive to find out"
	}
	j.ok(KindTarget, name, said)
}

// stores compares the space of the blob stores with what is to go there, and 30 % of it
// more: uploads lie there twice for a moment, and the server writes beside them.
func (j *judge) stores() {
	if j.q.Move == nil {
		return
	}
	if err := j.f.Stores.Err; err != nil {
		j.server("blob stores", report.Unknown, "how much space there is is not known: "+why(err), "ask an administrator")
		return
	}
	need, unknown := j.needs()
	for _, s := range j.f.Stores.Value {
		if n, used := need[s.Name]; used {
			j.store(s, n)
			delete(need, s.Name)
		}
	}
	for name := range need {
		j.server("blob store "+name, report.Failed, "there is no such blob store, or this login does not see it", "an administrator has to make it")
	}
	if len(unknown) > 0 {
		j.server("blob stores", report.Unknown, "which blob store they use is not known: "+strings.Join(unknown, ", "), "ask an administrator whether there is room for what is to be sent")
	}
}

// needs returns how many bytes go to each blob store, and the repositories of which it is
// not known where they keep their content.
func (j *judge) needs() (need map[string]int64, unknown []string) {
	need = map[string]int64{}
	for _, w := range j.q.Wanted {
		r := j.f.Repositories[w.Repository]
		switch {
		case r.Absent.Value && j.q.Create:
			need[defaultStore] += j.q.Move[w.Repository]
		case r.Absent.Value:
		case r.Format != "" && (r.Format != w.Format || r.Type != "hosted"): // takes nothing
		case r.Absent.Err != nil, r.Settings.Err != nil:
			unknown = append(unknown, w.Repository)
		default:
			need[r.Settings.Value.BlobStore] += j.q.Move[w.Repository]
		}
	}
	return need, slices.Compact(unknown)
}

func (j *judge) store(s Store, need int64) {
	name, wanted := "blob store "+s.Name, need+need/10*3
	floor := int64(0)
	if j.v.orient() {
		floor = orientFloor
	}
	said := fmt.Sprintf("%s free for %s", report.Bytes(s.Available), report.Bytes(need))
	free := "free space on the Nexus, or give the repositories a larger blob store"
	switch {
	case s.Unavailable:
		j.server(name, report.Failed, "the blob store is unavailable", "see the log of the Nexus")
	case !strings.EqualFold(s.Type, "File"):
		j.ok(KindTarget, name, fmt.Sprintf("of type %s, for which the free space says nothing; %s to go there", s.Type, report.Bytes(need)))
	case need > s.Available:
		j.server(name, report.Failed, said, free)
	case need > 0 && wanted+floor > s.Available:
		j.server(name, report.Warning, fmt.Sprintf("%s; %s should be, and a Nexus that runs short of space turns read-only or fails", said, report.Bytes(wanted+floor)), free)
	default:
		j.ok(KindTarget, name, said)
	}
	switch {
	case s.Quota.Err != nil:
		j.server(name, report.Warning, "its soft quota is not known: "+why(s.Quota.Err), "")
	case s.Quota.Value:
		j.server(name, report.Warning, "beyond its soft quota: "+s.Message, "a soft quota raises an alert and blocks nothing")
	}
}
