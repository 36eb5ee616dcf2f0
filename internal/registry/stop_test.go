package registry_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
)

// Contract 0.1/3, 8.
// Requests that wait for their turn when the login is refused do not leave any more: each
// would count as one more bad login.
func TestRefusedWhileOthersWait(t *testing.T) {
	for label, refuse := range map[string]http.HandlerFunc{
		"401": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["WWW-Authenticate"] = []string{`BASIC realm="Sonatype Nexus Repository Manager"`}
			w.WriteHeader(http.StatusUnauthorized)
		},
		"429": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Too many authentication attempts", http.StatusTooManyRequests)
		},
	} {
		t.Run(label, func(t *testing.T) {
			var asked atomic.Int32
			begun, hold := make(chan struct{}), make(chan struct{})
			reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
				switch asked.Add(1) {
				case 1:
					return false // the login is good, and requests need not go alone any more
				case 2:
					close(begun)
					<-hold
				}
				refuse(w, r)
				return true
			})})
			tr := httpx.NewTransport(httpx.Options{PerHost: 1})
			defer tr.CloseIdleConnections()
			o := options(t, reg.URL)
			o.Client, o.Username, o.Password = httpx.NewClient(tr), "admin", canary
			r := registry.New(o)
			if err := r.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { matches(t, r.Ping(t.Context()), label) })
			}
			<-begun
			close(hold)
			wg.Wait()
			if got := asked.Load(); got != 2 {
				t.Errorf("%d requests, want the good one and the one that was refused", got)
			}
		})
	}
}
