package rpm

// Tags of the main header.
const (
	tagName              = 1000
	tagVersion           = 1001
	tagRelease           = 1002
	tagEpoch             = 1003
	tagSummary           = 1004
	tagDescription       = 1005
	tagBuildTime         = 1006
	tagBuildHost         = 1007
	tagSize              = 1009
	tagVendor            = 1011
	tagLicense           = 1014
	tagPackager          = 1015
	tagGroup             = 1016
	tagURL               = 1020
	tagArch              = 1022
	tagFileModes         = 1030
	tagFileFlags         = 1037
	tagSourceRPM         = 1044
	tagArchiveSize       = 1046
	tagProvideName       = 1047
	tagRequireFlags      = 1048
	tagRequireName       = 1049
	tagRequireVersion    = 1050
	tagConflictFlags     = 1053
	tagConflictName      = 1054
	tagConflictVersion   = 1055
	tagChangelogTime     = 1080
	tagChangelogName     = 1081
	tagChangelogText     = 1082
	tagObsoleteName      = 1090
	tagSourcePackage     = 1106
	tagProvideFlags      = 1112
	tagProvideVersion    = 1113
	tagObsoleteFlags     = 1114
	tagObsoleteVersion   = 1115
	tagDirIndexes        = 1116
	tagBaseNames         = 1117
	tagDirNames          = 1118
	tagPayloadCompressor = 1125
	tagLongSize          = 5009
	tagRecommendName     = 5046
	tagRecommendVersion  = 5047
	tagRecommendFlags    = 5048
	tagSuggestName       = 5049
	tagSuggestVersion    = 5050
	tagSuggestFlags      = 5051
	tagSupplementName    = 5052
	tagSupplementVersion = 5053
	tagSupplementFlags   = 5054
	tagEnhanceName       = 5055
	tagEnhanceVersion    = 5056
	tagEnhanceFlags      = 5057
	tagPayloadDigest     = 5092
	tagPayloadDigestAlgo = 5093
)

// Tags of the signature header. Those below 1000 say something of the main header alone,
// the others of the main header and the payload.
const (
	sigDSA             = 267
	sigRSA             = 268
	sigSHA1            = 269
	tagLongArchiveSize = 271 // in either header
	sigSHA256          = 273
	sigOpenPGP         = 278
	sigPGP             = 1002
	sigMD5             = 1004
	sigGPG             = 1005
	sigPayloadSize     = 1007
)

// signatureTags are the tags that rpm up to version 6 knows in a signature header, from and
// to (rpm, include/rpm/rpmtag.h): regions and the table of languages, digests and
// signatures of the header, of files and of fs-verity, those of header and payload.
var signatureTags = [][2]uint32{{61, 64}, {100, 100}, {256, 279}, {999, 1008}}
