package nexus_test

import (
	"errors"
	"net/http"
	"testing"

	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
)

// Contract 2.2.
func TestSettings(t *testing.T) {
	for _, profile := range []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396} {
		t.Run(string(profile), func(t *testing.T) {
			s, n := start(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{
				{Name: "rpms", Format: "yum", Depth: 3, WritePolicy: "ALLOW_ONCE", Strict: true},
				{Name: "images", Format: "docker", Port: nexustest.AnyPort, BearerAuth: true},
			}})
			got, err := n.Settings(t.Context(), "yum", "hosted", "rpms")
			if err != nil || !got.Online || got.Yum.Depth != 3 || got.Storage.WritePolicy != "ALLOW_ONCE" || !got.Storage.Strict || got.Storage.BlobStore != "default" {
				t.Errorf("yum: %+v, %v", got, err)
			}
			got, err = n.Settings(t.Context(), "docker", "hosted", "images")
			if err != nil || got.Docker.HTTPPort == 0 || got.Docker.ForceBasicAuth || s.DockerURL("images") == "" {
				t.Errorf("docker: %+v, %v", got, err)
			}
			for _, absent := range [][2]string{{"yum", "none"}, {"raw", "rpms"}} {
				if _, err := n.Settings(t.Context(), absent[0], "hosted", absent[1]); !errors.Is(err, errdef.ErrNotFound) {
					t.Errorf("%v: %v, want not found", absent, err)
				}
			}
		})
	}
}

// Contract 1.3, 2.2.
// TestSettingsByList is for 3.26 and 3.27, which have the list only, and for servers that have
// neither or do not let the account read.
func TestSettingsByList(t *testing.T) {
	byName := nexustest.Fault{On: nexustest.Match{Method: "GET", Path: "/repositories/yum/hosted/"}, Do: nexustest.Status(http.StatusMethodNotAllowed, "")}
	list := nexustest.Match{Method: "GET", Path: "/repositorySettings$"}
	repositories := []nexustest.Repository{{Name: "rpms", Format: "yum", Depth: 2}}
	t.Run("list", func(t *testing.T) {
		_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{byName}, Repositories: repositories})
		if got, err := n.Settings(t.Context(), "yum", "hosted", "rpms"); err != nil || got.Yum.Depth != 2 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("no API", func(t *testing.T) {
		_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{byName, {On: list, Do: nexustest.Status(http.StatusNotFound, "")}}, Repositories: repositories})
		if _, err := n.Settings(t.Context(), "yum", "hosted", "rpms"); !errors.Is(err, nexus.ErrNoAPI) || errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%v, want ErrNoAPI", err)
		}
	})
	t.Run("forbidden", func(t *testing.T) {
		_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{byName, {On: list, Do: nexustest.Status(http.StatusForbidden, "")}}, Repositories: repositories})
		if _, err := n.Settings(t.Context(), "yum", "hosted", "rpms"); httpx.StatusCode(err) != http.StatusForbidden {
			t.Errorf("%v, want a 403", err)
		}
	})
}
