package catalog

import "unsafe"

// bytesString is the text of bytes that nobody changes any more.
func bytesString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
