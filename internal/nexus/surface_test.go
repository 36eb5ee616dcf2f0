package nexus_test

import (
	"net/http"
	"net/url"
	"testing"

	"airbundle/internal/nexus"
)

// Contract 0.1/1, 3.1.
func TestSurface(t *testing.T) {
	for _, tt := range []struct{ base, url, want string }{
		{"http://nexus:8081", "http://nexus:8081/service/rest/v1/status", "rest"},
		{"http://nexus:8081/", "http://nexus:8081/repository/raw-hosted/a/b.tgz", "content"},
		{"http://nexus:8081", "http://NEXUS:8081/repository/docker-hosted/v2/team/app/manifests/1", "docker"},
		{"http://nexus:8081", "http://nexus:8083/v2/team/app/blobs/uploads/", "docker"},
		{"http://nexus:8081", "http://nexus:8081/v2/docker-hosted/team/app/manifests/1", "docker"},
		{"http://nexus:8081", "http://nexus:8081/v2/token?scope=x", "docker"},
		{"https://host/nexus", "https://host/nexus/service/rest/v1/status", "rest"},
		{"https://host/nexus/", "https://host/nexus/repository/docker-hosted/v2/", "docker"},
		{"https://host/nexus", "https://host/nexus/repository/v2/x", "content"},
		{"https://host/nexus", "https://host:8443/v2/team/app/manifests/1", "docker"},
		{"https://host/nexus", "https://host/nexus/v2/docker/app/manifests/1", "docker"},
		{"https://host/nexus", "https://host/service/rest/v1/status", ""},
		{"https://host/nexus", "https://host/repository/raw-hosted/a", ""},
		{"http://nexus:8081", "http://s3.local/v2/x", ""},
		{"http://nexus:8081", "http://nexus:8081/", ""},
	} {
		base, err := url.Parse(tt.base)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := nexus.Surface(base)(req); got != tt.want {
			t.Errorf("%s at %s: %q, want %q", tt.url, tt.base, got, tt.want)
		}
	}
}

func TestDailyRequests(t *testing.T) {
	for _, tt := range []struct {
		version, edition string
		want             int64
	}{
		{"3.40.1-01", "OSS", 0},
		{"3.71.0-06", "OSS", 0},
		{"3.77.0-08", "COMMUNITY", 200_000},
		{"3.86.2-01", "COMMUNITY", 200_000},
		{"3.87.0-03", "COMMUNITY", 100_000},
		{"3.96.3-01", "COMMUNITY", 100_000},
		{"4.0.0-01", "COMMUNITY", 100_000},
		{"3.96.3-01", "PRO", 0},
		{"3.96.3-01", "", 0},
		{"", "COMMUNITY", 0},
		{"99999999999999999999.1.0", "COMMUNITY", 0},
	} {
		if got := (nexus.Info{Version: tt.version, Edition: tt.edition}).DailyRequests(); got != tt.want {
			t.Errorf("%s (%s): %d, want %d", tt.version, tt.edition, got, tt.want)
		}
	}
}
