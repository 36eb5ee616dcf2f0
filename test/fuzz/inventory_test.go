package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parsers lists what reads bytes from outside, by package, with the targets that fuzz it.
// One target may stand for several functions. A package that begins to parse gets a line
// here; the test below says so.
var parsers = map[string]map[string]string{
	"manifest": {
		"Open, DecodeTable": "FuzzOpen", "OpenRootFile, DecodeRoot": "FuzzOpenRootFile", "ParseImage, DeriveIndex": "FuzzParseImage",
		"ParsePlatform and JSON that must not be ambiguous": "FuzzUnambiguous", "CheckPath, CheckRepository, CheckPublish, CheckDigest, CheckText, SplitReference": "FuzzNames",
	},
	"internal/archive": {
		"Scan, Open, OpenLayout": "FuzzOpen", "headers of our tars": "FuzzHeader", "journal": "FuzzJournal",
	},
	"internal/lockfile":   {"DecodeLock": "FuzzDecodeLock", "DecodeRequest": "FuzzDecodeRequest", "DecodeTarget": "FuzzDecodeTarget"},
	"internal/lint":       {"IsRequest": "FuzzIsRequest"},
	"internal/rollback":   {"Read": "FuzzRead"},
	"internal/credential": {"Read of a docker config": "FuzzRead"},
	"internal/signature": {
		"DecodePublicKeys": "FuzzDecodePublicKeys", "DecodePrivateKey": "FuzzDecodePrivateKey", "Decode": "FuzzDecode",
	},
	"internal/receipt": {"Decode": "FuzzDecode"},
	"internal/helm":    {"ParseIndex": "FuzzParseIndex", "ReadMetadata, Check, Walk": "FuzzReadMetadata"},
	"internal/interchange": {
		"Import of images": "FuzzImages", "of imageslock": "FuzzImagesLock", "of hauler": "FuzzHauler", "of compose": "FuzzCompose",
		"of kubernetes": "FuzzKubernetes", "of rpm-lockfile": "FuzzRPMLockfile",
	},
	"internal/httpx": {
		"Redact": "FuzzRedact", "Retry-After, Date": "FuzzRetryAfter", "Content-Range, validators": "FuzzContentRange", "error pages": "FuzzStatusError",
	},
	"internal/fetch": {"URLs, Content-Range": "FuzzContentRange"},
	"internal/registry": {
		"WWW-Authenticate": "FuzzBearerChallenge", "Location": "FuzzLocation", "lists, manifests, sizes, tokens, error bodies, Link": "FuzzAnswers",
	},
	"internal/nexus": {"lists, search, settings, status, survey, version header": "FuzzAnswers"},
	"internal/probe": {"Location": "FuzzLocation", "answers that are shown": "FuzzExcerpt"},
	"internal/source/image": {
		"tars": "FuzzLocate", "manifests of registries": "FuzzNewDocument", "OCI layouts, archives of docker save": "FuzzArchive", "references": "FuzzReference",
	},
	"internal/source/chart": {"URLs in an index": "FuzzJoin", "values and manifests": "FuzzWalk"},
	"internal/source/web":   {"checksum files": "FuzzParseChecksums"},
	"internal/source/yum":   {"metalinks": "FuzzMetalink", "mirror lists": "FuzzMirrorList"},
	"internal/serve":        {"methods and paths": "FuzzPath"},
	"internal/target":       {"ParseNaming": "FuzzNaming"},
	"internal/rpm": {
		"Read, Verify: lead, headers, signatures": "FuzzRead", "VerifyDetached": "FuzzVerifyDetached", "SignatureKeyIDs": "FuzzSignatureKeyIDs",
		"ReadKeys, SelectKey": "FuzzReadKeys", "CompareEVR": "FuzzCompareEVR",
	},
	"internal/rpm/catalog":  {"Decode": "FuzzDecode"},
	"internal/rpm/xmlscan":  {"Scanner": "FuzzScanner"},
	"internal/rpm/depsolve": {"rich dependencies": "FuzzRich", "specs of packages": "FuzzSpec"},
	"internal/rpm/repodata": {
		"ParsePrimary": "FuzzParsePrimary", "ParseRepomd": "FuzzParseRepomd", "ParseFilelists": "FuzzParseFilelists", "ParseModules": "FuzzParseModules",
		"ParseComps": "FuzzParseComps", "ReadPrimary, decompression": "FuzzReadPrimary", "SliceUpdateinfo": "FuzzSliceUpdateinfo",
		"CheckSlice, SliceModules, SliceComps": "FuzzSlices",
	},
}

// elsewhere are packages that import a decoder and parse nothing of their own, or what others'
// targets fuzz: each with the reason.
var elsewhere = map[string]string{
	"internal/cli":            "JSON is written only",
	"internal/report":         "JSON is written only",
	"internal/verify":         "reads by archive and manifest; of its own the two members of oci-layout",
	"internal/target":         "reads by manifest.ParseImage",
	"internal/rpm/createrepo": "keys by rpm.ReadKeys and the OpenPGP library; XML and JSON are written only",
	"internal/cli/bundler":    "flags by pflag, files by lockfile and interchange",
	"internal/cli/seeder":     "flags by pflag, files by lockfile and receipt",
	"internal/build":          "reads by archive",
	"internal/push":           "reads by manifest, rpm and repodata",
	"internal/audit":          "reads by manifest, rpm and repodata",
	"internal/serve":          "JSON and XML are written only",
}

// decoders are packages whose importers probably parse.
var decoders = []string{"encoding/json", "encoding/xml", "go.yaml.in/yaml/v3", "archive/tar", "compress/gzip", "encoding/pem", "encoding/asn1", "crypto/x509", "encoding/csv"}

const root = "../.."

// minSeeds is how many files each target has in testdata/fuzz.
const minSeeds = 3

func TestEveryParserIsFuzzed(t *testing.T) {
	all, err := targets(root)
	if err != nil {
		t.Fatal(err)
	}
	for pkg, list := range parsers {
		for what, name := range list {
			if !slices.Contains(all, target{pkg, name}) {
				t.Errorf("%s: %s: there is no %s", pkg, what, name)
			}
		}
	}
	for _, at := range all {
		if at.Package == "internal/fuzztest" {
			continue
		}
		named := false
		for _, name := range parsers[at.Package] {
			named = named || name == at.Name
		}
		if !named {
			t.Errorf("%s: which parser it fuzzes is not said in parsers", at)
		}
		seeds, _ := os.ReadDir(filepath.Join(root, at.Package, "testdata", "fuzz", at.Name))
		if len(seeds) < minSeeds {
			t.Errorf("%s: %d seeds in testdata/fuzz/%s, want %d", at, len(seeds), at.Name, minSeeds)
		}
		if err := triesMutants(at); err != nil {
			t.Error(err)
		}
	}
}

// triesMutants says whether the package of a target runs its targets by fuzztest.Run.
func triesMutants(at target) error {
	files, err := filepath.Glob(filepath.Join(root, at.Package, "*_test.go"))
	if err != nil {
		return err
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.Contains(string(raw), ".Fuzz(func(") {
			return fmt.Errorf("%s: f.Fuzz where fuzztest.Run would try mutants", name)
		}
	}
	return nil
}

// A package that imports a decoder has a target, or a reason.
func TestEveryPackageThatDecodesIsListed(t *testing.T) {
	for _, top := range []string{"manifest", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			dir, err := filepath.Rel(root, filepath.Dir(path))
			if pkg := filepath.ToSlash(dir); err == nil && parsers[pkg] == nil && elsewhere[pkg] == "" && !strings.HasSuffix(pkg, "test") {
				return decodes(t, pkg, path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func decodes(t *testing.T, pkg, path string) error {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, imp := range f.Imports {
		if name, _ := strconv.Unquote(imp.Path.Value); slices.Contains(decoders, name) {
			t.Errorf("%s imports %s: list its parsers and their targets in parsers, or the reason in elsewhere", pkg, name)
		}
	}
	return nil
}

func TestUsedBefore(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(ledger, []byte("internal/a.FuzzB 1.5 10 2 ok\ninternal/a.FuzzB 2.0 10 0 ok\ninternal/a.FuzzC 9 1 1 FAILED\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := usedBefore(ledger)
	if used["internal/a.FuzzB"] != 3.5 || used["internal/a.FuzzC"] != 0 {
		t.Errorf("%v", used)
	}
	if got := usedBefore(ledger + "x"); len(got) != 0 {
		t.Errorf("no ledger: %v", got)
	}
}
