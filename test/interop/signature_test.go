package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"airbundle/internal/rpmtest"
)

// A signing is a small bundle with what other programs need of it.
type signing struct {
	dir, lock, bundle     string
	bundlerPath, seedPath string
}

func newSigning(t *testing.T) *signing {
	t.Helper()
	dir := t.TempDir()
	s := &signing{dir: dir, lock: filepath.Join(dir, "one.lock.yaml"), bundle: filepath.Join(dir, "one.bundle.tar")}
	content := []byte("carried")
	writeFile(t, filepath.Join(dir, "content"), content)
	hash := sha256.Sum256(content)
	writeFile(t, s.lock, fmt.Appendf(nil, "apiVersion: airbundle/v1\nkind: Lock\nname: one\narches: [x86_64]\nfiles:\n  - path: content\n    urls: [\"file:content\"]\n    size: %d\n    digest: sha256:%x\n", len(content), hash))
	var err error
	if s.bundlerPath, err = buildBundler(); err != nil {
		t.Fatal(err)
	}
	if s.seedPath, err = buildSeeder(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *signing) at(name string) string { return filepath.Join(s.dir, name) }

// build builds the bundle and takes the root out of it, as docs/operations.md says.
func (s *signing) build(t *testing.T, args ...string) (root string) {
	t.Helper()
	must(t, nil, s.bundlerPath, append([]string{"build", s.lock, "-o", s.bundle}, args...)...)
	root = strings.TrimSpace(must(t, nil, "sh", "-c", `"$0" inspect "$1" | awk '$1 == "root" { print $2; exit }'`, s.bundlerPath, s.bundle))
	hex, ok := strings.CutPrefix(root, "sha256:")
	if !ok {
		t.Fatalf("root %q", root)
	}
	must(t, nil, "sh", "-c", `tar -xOf "$0" "blobs/sha256/$1" > "$2"`, s.bundle, hex, s.at("root.blob"))
	return root
}

// verify checks the bundle with a key and returns the key id that signed it.
func (s *signing) verify(t *testing.T, key string) string {
	t.Helper()
	var rep struct{ Trust, SignedBy string }
	if err := json.Unmarshal([]byte(must(t, nil, s.seedPath, "verify", s.bundle, "--key", key, "--output", "json")), &rep); err != nil || rep.Trust != "key" {
		t.Fatalf("%+v, %v", rep, err)
	}
	return rep.SignedBy
}

// fingerprint is what openssl and sha256 say of a public key.
func (s *signing) fingerprint(t *testing.T, openssl, key string) string {
	t.Helper()
	der := must(t, nil, openssl, "pkey", "-pubin", "-in", key, "-outform", "DER")
	hash := sha256.Sum256([]byte(der))
	return "sha256:" + hex.EncodeToString(hash[:])
}

// withCosign runs a subtest with cosign where it is installed. It is not packaged, and takes 8
// minutes of processor time to build: elsewhere the library beneath it has to do.
func withCosign(t *testing.T, test func(t *testing.T, cosign string)) {
	t.Helper()
	path, err := exec.LookPath("cosign")
	if err != nil {
		t.Logf("without cosign: %v", err)
		return
	}
	t.Run("cosign", func(t *testing.T) { test(t, path) })
}

// goEnv is a setting of the go command that depends on the home directory.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// What bundler signs, openssl and cosign verify, and refuse over anything else.
func TestOthersVerifyOurSignature(t *testing.T) {
	openssl := rpmtest.Tool(t, "openssl")
	s := newSigning(t)
	made := must(t, nil, s.bundlerPath, "keygen", "-o", s.at("key"))
	s.build(t, "--sign", s.at("key.key"))
	pub, sig := s.at("key.pub"), s.bundle+".sig"
	if got := s.fingerprint(t, openssl, pub); !strings.Contains(made, "fingerprint "+got+"\n") || s.verify(t, pub) != got {
		t.Errorf("fingerprint %s: %s", got, made)
	}
	writeFile(t, s.at("other"), []byte("another root"))
	for blob, want := range map[string]int{"root.blob": 0, "other": 1} {
		if res := run(t, nil, openssl, "dgst", "-sha256", "-verify", pub, "-signature", sig, s.at(blob)); res.code != want {
			t.Errorf("openssl, %s: %d %s%s", blob, res.code, res.stdout, res.stderr)
		}
	}
	t.Run("sigstore", func(t *testing.T) {
		program := s.at("sigstore")
		if res := run(t, []string{"GOFLAGS=", "GOCACHE=" + goEnv(t, "GOCACHE"), "GOMODCACHE=" + goEnv(t, "GOMODCACHE")}, "go", "build", "-C", "testdata/sigstore", "-o", program, "."); res.code != 0 {
			if os.Getenv("CI") != "" {
				t.Fatal(res.stderr)
			}
			t.Skipf("its modules are not to be had: %s", res.stderr)
		}
		for blob, want := range map[string]int{"root.blob": 0, "other": 1} {
			if res := run(t, nil, program, pub, sig, s.at(blob)); res.code != want {
				t.Errorf("sigstore, %s: %d %s%s", blob, res.code, res.stdout, res.stderr)
			}
		}
	})
	withCosign(t, func(t *testing.T, cosign string) {
		for blob, good := range map[string]bool{"root.blob": true, "other": false} {
			if res := run(t, nil, cosign, "verify-blob", "--key", pub, "--signature", sig, "--insecure-ignore-tlog", s.at(blob)); (res.code == 0) != good || good != strings.Contains(res.stderr, "Verified OK") {
				t.Errorf("cosign, %s: %d %s%s", blob, res.code, res.stdout, res.stderr)
			}
		}
	})
}

// Who signs elsewhere, with openssl or cosign alone, is believed.
func TestOthersSign(t *testing.T) {
	openssl := rpmtest.Tool(t, "openssl")
	s := newSigning(t)
	s.build(t)
	key, pub, sig := s.at("k.key"), s.at("k.pub"), s.bundle+".sig"
	must(t, nil, openssl, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
	must(t, nil, openssl, "pkey", "-in", key, "-pubout", "-out", pub)
	must(t, nil, openssl, "dgst", "-sha256", "-sign", key, "-out", sig, s.at("root.blob"))
	if got, want := s.verify(t, pub), s.fingerprint(t, openssl, pub); got != want {
		t.Errorf("signed by %s, want %s", got, want)
	}
	t.Run("another hash", func(t *testing.T) {
		must(t, nil, openssl, "dgst", "-sha384", "-sign", key, "-out", sig, s.at("root.blob"))
		if res := run(t, nil, s.seedPath, "verify", s.bundle, "--key", pub); res.code != 5 {
			t.Errorf("%d %s%s", res.code, res.stdout, res.stderr)
		}
	})
	t.Run("RSA", func(t *testing.T) {
		must(t, nil, openssl, "genpkey", "-algorithm", "RSA", "-out", s.at("rsa.key"))
		must(t, nil, openssl, "pkey", "-in", s.at("rsa.key"), "-pubout", "-out", s.at("rsa.pub"))
		must(t, nil, openssl, "dgst", "-sha256", "-sign", s.at("rsa.key"), "-out", sig, s.at("root.blob"))
		for _, k := range []string{s.at("rsa.pub"), pub} {
			if res := run(t, nil, s.seedPath, "verify", s.bundle, "--key", k); res.code != 5 || !regexp.MustCompile(`an RSA key|neither the DER form of an ECDSA signature`).MatchString(res.stdout+res.stderr) {
				t.Errorf("%d %s%s", res.code, res.stdout, res.stderr)
			}
		}
	})
	withCosign(t, func(t *testing.T, cosign string) {
		env := []string{"COSIGN_PASSWORD=canary"}
		must(t, env, cosign, "import-key-pair", "--key", key, "--output-key-prefix", s.at("imported"))
		must(t, env, cosign, "sign-blob", "--key", s.at("imported.key"), "--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false", "--output-signature", sig, "-y", s.at("root.blob"))
		if raw, err := os.ReadFile(sig); err != nil || raw[0] != 'M' {
			t.Errorf("cosign has written no base64: %q, %v", raw, err)
		}
		if got, want := s.verify(t, pub), s.fingerprint(t, openssl, pub); got != want {
			t.Errorf("signed by %s, want %s", got, want)
		}
	})
}

// Keys that openssl makes sign, in all its forms; what is encrypted is refused with the
// command that helps.
func TestKeysOfOpenSSL(t *testing.T) {
	openssl := rpmtest.Tool(t, "openssl")
	s := newSigning(t)
	must(t, nil, openssl, "ecparam", "-name", "prime256v1", "-genkey", "-out", s.at("sec1.key")) // with its parameters before it
	must(t, nil, openssl, "pkey", "-in", s.at("sec1.key"), "-out", s.at("pkcs8.key"))
	must(t, nil, openssl, "pkey", "-in", s.at("sec1.key"), "-pubout", "-out", s.at("k.pub"))
	must(t, nil, openssl, "pkcs8", "-topk8", "-in", s.at("sec1.key"), "-passout", "pass:canary", "-out", s.at("locked.key"))
	must(t, nil, openssl, "ec", "-aes128", "-in", s.at("sec1.key"), "-passout", "pass:canary", "-out", s.at("legacy.key"))
	must(t, nil, "chmod", "600", s.at("sec1.key"), s.at("pkcs8.key"), s.at("locked.key"), s.at("legacy.key"))
	var first []byte
	for _, name := range []string{"sec1.key", "pkcs8.key"} {
		s.build(t, "--sign", s.at(name))
		s.verify(t, s.at("k.pub"))
		raw, err := os.ReadFile(s.bundle + ".sig")
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && string(first) != string(raw) {
			t.Errorf("%s: another signature of the same key", name)
		}
		first = raw
	}
	for _, name := range []string{"locked.key", "legacy.key"} {
		res := run(t, nil, s.bundlerPath, "build", s.lock, "-o", s.bundle, "--sign", s.at(name))
		if res.code != 2 || !strings.Contains(res.stderr, "openssl pkey -in KEY -out PLAIN") {
			t.Errorf("%s: %d %s", name, res.code, res.stderr)
		}
		must(t, nil, openssl, "pkey", "-in", s.at(name), "-passin", "pass:canary", "-out", s.at("plain.key"))
		must(t, nil, "chmod", "600", s.at("plain.key"))
		s.build(t, "--sign", s.at("plain.key"))
	}
	for curve, want := range map[string]string{"secp256k1": "an ECDSA key on secp256k1", "secp384r1": "an ECDSA key on P-384", "brainpoolP256r1": "an ECDSA key on brainpoolP256r1"} {
		must(t, nil, openssl, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"+curve, "-out", s.at("c.key"))
		must(t, nil, openssl, "pkey", "-in", s.at("c.key"), "-pubout", "-out", s.at("c.pub"))
		must(t, nil, "chmod", "600", s.at("c.key"))
		for _, c := range []struct {
			code int
			args []string
		}{
			{2, []string{s.bundlerPath, "build", s.lock, "-o", s.bundle, "--sign", s.at("c.key")}}, // a mistake of who signs
			{5, []string{s.seedPath, "verify", s.bundle, "--key", s.at("c.pub")}},
		} {
			if res := run(t, nil, c.args[0], c.args[1:]...); res.code != c.code || !strings.Contains(res.stderr, want) {
				t.Errorf("%v: %d, want %d: %s", c.args, res.code, c.code, res.stderr)
			}
		}
	}
}
