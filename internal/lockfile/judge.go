package lockfile

import "errors"

// Judge reads a lock that need not be right, for who wants to say all that is wrong
// with it: it gives what could be decoded, in the order of the file, and the problems
// for which DecodeLock would refuse it, nil when there are none. Entries with problems
// may lack fields. The error is of a file that is no lock at all.
func Judge(name string, data []byte) (*Lock, *Errors, error) {
	d := newDecoder(name)
	l := new(Lock)
	if !d.document(data, "Lock", l) {
		return nil, nil, d.err()
	}
	checkLock(d.checker(), l)
	problems, _ := errors.AsType[*Errors](d.err())
	return l, problems, nil
}
