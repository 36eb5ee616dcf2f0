package catalog

// An index finds numbers by what they stand for, through a hash of it: an open-addressing
// table, which for the million look-ups of a large list takes half the time of a
// map, and a quarter of its memory. Its zero value is empty.
type index struct {
	slots []slot // a power of two of them
	used  int
}

// A slot is free when number is 0.
type slot struct{ hash, number uint32 }

// find returns the number with that hash that is the one, 0 when there is none.
func (x *index) find(hash uint32, is func(number uint32) bool) uint32 {
	if len(x.slots) == 0 {
		return 0
	}
	mask := uint32(len(x.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask { // a slot at least is free
		switch s := x.slots[at]; {
		case s.number == 0:
			return 0
		case s.hash == hash && is(s.number):
			return s.number
		}
	}
}

// room sees to it that a number more can be put in.
func (x *index) room() {
	if 4*(x.used+1) <= 3*len(x.slots) {
		return
	}
	old := x.slots
	x.slots = make([]slot, max(1024, 2*len(old)))
	for _, s := range old {
		if s.number != 0 {
			x.put(s)
		}
	}
}

// put puts a number into the first free slot for its hash.
func (x *index) put(s slot) {
	mask := uint32(len(x.slots) - 1)
	at := s.hash & mask
	for x.slots[at].number != 0 {
		at = (at + 1) & mask
	}
	x.slots[at] = s
}

// add adds a number that is not there. The numbers begin with 1.
func (x *index) add(hash, number uint32) {
	x.room()
	x.put(slot{hash, number})
	x.used++
}
