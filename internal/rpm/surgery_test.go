package rpm_test

// Types and tags of entries, as the format numbers them.
const (
	kindInt8    = 2
	kindInt16   = 3
	kindInt32   = 4
	kindInt64   = 5
	kindString  = 6
	kindBinary  = 7
	kindStrings = 8

	sigDSA     = 267
	sigRSA     = 268
	sigSHA1    = 269
	sigSHA256  = 273
	sigOpenPGP = 278
	sigPGP     = 1002
	sigMD5     = 1004

	tagPayloadDigest     = 5092
	tagPayloadDigestAlgo = 5093
)
