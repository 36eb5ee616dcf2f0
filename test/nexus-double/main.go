// Command nexus-double starts the stand-in for Sonatype Nexus that the tests use, so that
// a person can try seeder without a Nexus. What is stored is gone when it ends.
//
//	go run ./test/nexus-double -addr 127.0.0.1:8081 -profile orient-3.40
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"airbundle/internal/nexustest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "nexus-double:", err)
		os.Exit(1)
	}
}

func run() error {
	addr := flag.String("addr", "127.0.0.1:8081", "address of the main port")
	profile := flag.String("profile", string(nexustest.Orient340), "generation: orient-3.40, h2-3.71 or ce-3.96")
	delay := flag.Duration("rebuild", time.Second, "how long yum metadata lags behind")
	depth := flag.Int("depth", 0, "repodata depth of the yum repository")
	flag.Parse()
	srv, err := nexustest.New(nexustest.Options{
		Profile: nexustest.Profile(*profile), Addr: *addr, Anonymous: true, RebuildDelay: *delay,
		Repositories: []nexustest.Repository{
			{Name: "docker-hosted", Format: "docker", Port: nexustest.AnyPort},
			{Name: "yum-hosted", Format: "yum", Depth: *depth},
			{Name: "raw-hosted", Format: "raw"},
			{Name: "helm-hosted", Format: "helm"},
		},
	})
	if err != nil {
		return err
	}
	if err := srv.Listen(); err != nil {
		return err
	}
	defer srv.Close()
	fmt.Printf("%s on %s, docker-hosted also on %s; login %s / %s; end with Ctrl-C\n",
		*profile, srv.URL, srv.DockerURL("docker-hosted"), nexustest.Username, nexustest.Password)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
	return nil
}
