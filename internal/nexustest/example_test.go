package nexustest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"airbundle/internal/nexustest"
)

// A server for a program that is no test: every second request or so meets a
// proxy without its Nexus, the first answer to an upload is lost.
func Example() {
	s, err := nexustest.New(nexustest.Options{
		Profile: nexustest.Orient340,
		Repositories: []nexustest.Repository{
			{Name: "docker-hosted", Format: "docker", Port: nexustest.AnyPort},
			{Name: "raw-hosted", Format: "raw", WritePolicy: "ALLOW_ONCE"},
		},
		Seed: 1,
		Faults: []nexustest.Fault{
			{Name: "proxy", On: nexustest.Match{Method: "GET", Probability: 0.5}, Do: nexustest.BadGateway()},
			{Name: "lost", On: nexustest.Match{Route: nexustest.RouteRaw, Method: "PUT", Times: 1}, Do: nexustest.LoseAnswer()},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Listen(); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPut, s.RepositoryURL("raw-hosted")+"/dir/file", strings.NewReader("content"))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.SetBasicAuth(nexustest.Username, nexustest.Password)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println("no answer")
			continue
		}
		fmt.Println(resp.Status)
		resp.Body.Close()
	}
	fmt.Println(s.Paths("raw-hosted"), s.FaultHits("lost"), s.Count("PUT", "/dir/file"))
	// Output:
	// no answer
	// 400 Repository does not allow updating assets: raw-hosted
	// [dir/file] 1 2
}

// A fault script can change at any time: here a server that is read-only for
// three writes, in the words of each surface.
func ExampleServer_AddFault() {
	s, err := nexustest.New(nexustest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	s.AddFault(nexustest.Fault{
		Name: "window",
		On:   nexustest.Match{Path: `^/repository/`, After: 2, Times: 3},
		Do:   nexustest.ReadOnly(),
	})
	fmt.Println(s.FaultHits("window"))
	// Output: 0
}
