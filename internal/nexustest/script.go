package nexustest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// A Script is a bad day of a server, under a name: faults on the wire, and
// options that are other than usual. It touches nothing that it does not name,
// so it fits every profile and any set of repositories.
type Script struct {
	Name   string         // of lower case words and hyphens
	About  string         // one line
	Faults []Fault        // named after the script
	Change func(*Options) // nil for none
	// Survivable says that a client that repeats what may be repeated, and looks
	// before it does, completes all the same. Of the others an honest client can
	// only say what is wrong.
	Survivable bool
	// Unseen says that the server's answers to an upload look right although what
	// it stores is not: only reading it back shows that.
	Unseen bool
}

// Apply returns o with the script's changes and faults.
func (sc Script) Apply(o Options) Options {
	if sc.Change != nil {
		sc.Change(&o)
	}
	o.Faults = slices.Concat(o.Faults, sc.Faults)
	return o
}

// ScriptNamed returns the script of that name.
func ScriptNamed(name string) (Script, error) {
	for _, sc := range Scripts() {
		if sc.Name == name {
			return sc, nil
		}
	}
	return Script{}, fmt.Errorf("nexustest: no fault script %q", name)
}

// Scripts returns all fault scripts, in the order of the ways that they disturb:
// uploads, the server's state, logins and limits, docker, answers, metadata.
func Scripts() []Script {
	var all []Script
	for _, part := range [][]Script{uploadScripts(), stateScripts(), limitScripts(), dockerScripts(), answerScripts(), yumScripts()} {
		all = append(all, part...)
	}
	for i := range all {
		for j := range all[i].Faults {
			all[i].Faults[j].Name = all[i].Name
		}
	}
	return all
}

// on is a script of one fault.
func on(name, about string, m Match, do Action) Script {
	return Script{Name: name, About: about, Faults: []Fault{{On: m, Do: do}}}
}

// survivable marks a script.
func survivable(sc Script) Script {
	sc.Survivable = true
	return sc
}

// Paths of content, on the main port and on connectors.
const contentPath = `/repository/|^/v2/`

// uploads matches the requests that carry content.
func uploads(after, times int) Match {
	return Match{Method: "PUT|PATCH|POST", Path: contentPath, After: after, Times: times}
}

// downloads matches the requests that fetch content.
func downloads(after, times int) Match {
	return Match{Method: "GET", Path: contentPath, After: after, Times: times}
}

func uploadScripts() []Script {
	return []Script{
		survivable(on("reset-mid-body", "the connection is reset 100 bytes into an upload", uploads(1, 3), Reset(100))),
		survivable(on("lost-answer", "uploads are stored, their answers are lost", uploads(0, 3), LoseAnswer())),
		survivable(on("gateway-timeout", "uploads are stored, a proxy answers 504", uploads(0, 3), GatewayTimeout())),
		survivable(on("server-error", "500 to some uploads", uploads(1, 3), Status(500, ""))),
		survivable(on("duplicate-key", "uploads lose a race in the server's database", uploads(1, 2), DuplicateKey())),
		survivable(on("bad-gateway", "a proxy's 502 page, one request in ten",
			Match{Probability: 0.1, Times: 20}, BadGateway())),
		survivable(on("slow-body", "a pause of 20 ms before each 32 KiB", Match{Path: contentPath}, Slow(20*time.Millisecond))),
		survivable(on("stalled-upload", "one upload stops after 100 bytes and is never answered", uploads(1, 1), Stall(100))),
		survivable(on("flipped-upload", "a proxy damages the 11th byte of some uploads", uploads(1, 2), FlipRequest(10))),
		survivable(on("late-answer", "the end of an upload is answered after 300 ms", uploads(0, 5), Delay(300*time.Millisecond))),
		on("body-limit", "a proxy refuses uploads with 413", uploads(1, 0), ProxyStatus(413)),
	}
}

func stateScripts() []Script {
	corrupted := on("corrupted-stored", "the first byte of some uploads is damaged on the server's disk", uploads(1, 3), CorruptStored(0))
	corrupted.Unseen = true
	return []Script{
		survivable(on("read-only-window", "read-only for four writes", uploads(2, 4), ReadOnly())),
		on("starting", "503 to everything but the first two requests: the server is restarted", Match{After: 2}, Status(503, "")),
		on("disk-full", "500 to new content: no space is left", uploads(3, 0),
			Status(500, "java.io.IOException: No space left on device")),
		on("frozen", "the server becomes read-only after the third write and stays so", uploads(2, 1), FreezeAfter()),
		corrupted,
		survivable(Script{Name: "short-stored", About: "uploads that break off are kept as far as they came",
			Faults: []Fault{{On: uploads(1, 2), Do: Break(100)}}, Change: func(o *Options) { o.Quirks.KeepShortUploads = true }}),
	}
}

func limitScripts() []Script {
	return []Script{
		on("login-lost", "401 from the tenth request on", Match{After: 9}, Unauthorized()),
		on("logins-blocked", "429 for too many bad logins from the tenth request on", Match{After: 9}, TooManyLogins()),
		on("payment-required", "403 PAYMENT REQUIRED to new content", uploads(2, 0), PaymentRequired()),
		survivable(on("overload", "503 with Retry-After to one request in ten",
			Match{Path: contentPath, Probability: 0.1, Times: 10}, RetryAfter(503, "1"))),
	}
}

func dockerScripts() []Script {
	sessions := Match{Route: RouteUpload, Method: "PATCH|PUT", Times: 2}
	sessionLost := survivable(on("session-lost", "the server forgets upload sessions", sessions,
		DockerError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", nil)))
	private := survivable(on("private-location", "Location names an address that cannot be reached",
		Match{Route: RouteUpload}, AbsoluteLocation("http://10.255.255.1:8081")))
	for _, sc := range []*Script{&sessionLost, &private} {
		sc.Change = func(o *Options) { o.Quirks.NoSinglePost = true } // so that there are sessions
	}
	return []Script{
		sessionLost,
		private,
		survivable(on("blob-lost", "HEAD of a blob says 200, the manifest says BLOB_UNKNOWN",
			Match{Route: RouteUpload, Method: "POST|PUT", Times: 2}, LoseStored())),
		survivable(on("manifest-head", "HEAD of a manifest answers 500", Match{Route: RouteManifest, Method: "HEAD", Times: 4}, Status(500, ""))),
		survivable(on("null-realm", "the docker challenge points to null://", Match{Path: contentPath}, NullRealm())),
	}
}

func answerScripts() []Script {
	return []Script{
		survivable(on("truncated-get", "downloads end early, without notice", downloads(0, 2), TruncateAnswer(5))),
		survivable(on("shortened-get", "downloads end early and say so", downloads(0, 2), ShortenAnswer(5))),
		survivable(on("hidden-server", "a proxy's Server header on every answer", Match{},
			EditHeader(func(h http.Header) { h["Server"] = []string{"nginx/1.24.0"} }))),
		survivable(on("cut-get", "downloads are reset", downloads(0, 2), CutAnswer(5))),
	}
}

func yumScripts() []Script {
	puts := Match{Route: RouteYum, Method: "PUT"}
	return []Script{
		on("never-rebuilt", "yum metadata stays as it was before the first upload", puts, HoldMetadata()),
		on("bad-rpm", "somebody's unreadable RPM spoils every rebuild", puts, Plant("unreadable.rpm", []byte("no RPM"))),
		{Name: "no-metadata", About: "yum metadata is never made, as by 3.76.0", Change: func(o *Options) { o.Quirks.NoRebuild = true }},
		survivable(on("primary-gone", "the metadata is replaced between repomd.xml and the file that it names",
			Match{Route: RouteYum, Method: "GET", Path: `-primary\.xml`, Times: 1}, Status(404, "Not Found"))),
	}
}
