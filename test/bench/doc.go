// Package bench measures build, verify and push of a bundle against a floor in the same
// run: the least work that moves the same bytes (fetch once, hash once, write once; read
// once, hash once, send once). `make bench` prints the ratio of wall times. lock.py
// writes a lock for a larger data set that is described by a dataset.json.
package bench
