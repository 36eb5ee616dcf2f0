package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"airbundle/internal/nexustest"
)

const usage = `nexus-double is a stand-in for Sonatype Nexus Repository 3: it answers as the real one does,
oddities included, and forgets everything when it ends.

  nexus-double                                        an OSS server of 3.40 with a repository of each format
  nexus-double -profile ce-3.96 -eula-pending -log    a Community Edition nobody has set up, every request on stderr
  nexus-double -version 3.25.0-03                     before REST provisioning, but for beta paths
  nexus-double -repo docker:kubeoperator,port=8083 -repo group:docker:docker-group=kubeoperator,port=8082 \
               -repo raw:binary-k8s-raw -repo group:raw:oss-proxy=binary-k8s-raw -anonymous
                                                      the repositories of KubeOperator
  nexus-double -quirk NoSinglePost -quirk BlobUnknownStatus=404
                                                      what is not known for certain, the other way round
  nexus-double -script lost-answer -script overload      a bad day
  nexus-double -list                                  the names of quirks and scripts

A repository is FORMAT:NAME, group:FORMAT:NAME=MEMBER+MEMBER or proxy:FORMAT:NAME=URL, and then ,KEY=VALUE with
policy (ALLOW, ALLOW_ONCE, DENY), port, https-port, depth, deploy (STRICT, PERMISSIVE), disposition, blobstore,
or ,strict ,offline ,bearer ,latest ,path. A user is NAME:PASSWORD[:ACTION+ACTION[:REPOSITORY+REPOSITORY]].

`

// usual are the repositories of a server when none are given.
func usual() []nexustest.Repository {
	return []nexustest.Repository{
		{Name: "docker-hosted", Format: "docker", Port: nexustest.AnyPort},
		{Name: "yum-hosted", Format: "yum"},
		{Name: "raw-hosted", Format: "raw"},
		{Name: "helm-hosted", Format: "helm"},
	}
}

// options reads the arguments. Help and lists go to stdout; flag.ErrHelp says that
// they were asked for.
func options(args []string, stdout io.Writer) (o nexustest.Options, logged bool, err error) {
	fs := flag.NewFlagSet("nexus-double", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints errors, once
	profile := fs.String("profile", string(nexustest.Orient340), "`generation`: orient-3.40, h2-3.71 or ce-3.96")
	fs.StringVar(&o.Version, "version", "", "`version` instead of the profile's, such as 3.76.0-03")
	fs.StringVar(&o.Edition, "edition", "", "`edition` instead of the profile's: OSS, COMMUNITY or PRO")
	fs.StringVar(&o.Addr, "addr", "127.0.0.1:8081", "`address` of the main port")
	fs.StringVar(&o.Connectors, "connectors", "127.0.0.1", "`host` that docker connectors listen on")
	fs.StringVar(&o.ContextPath, "context", "", "`path` that everything is below, such as /nexus")
	fs.BoolVar(&o.Anonymous, "anonymous", false, "let requests without credentials read")
	fs.BoolVar(&o.TokenRealm, "token-realm", false, "activate the realm of docker tokens")
	fs.BoolVar(&o.Quirks.UnacceptedEULA, "eula-pending", false, "Community Edition: the license agreement is not accepted")
	fs.DurationVar(&o.RebuildDelay, "rebuild", time.Second, "`time` that yum and helm metadata lag behind")
	fs.DurationVar(&o.SearchDelay, "search", time.Second, "`time` that search lags behind")
	fs.Int64Var(&o.FreeBytes, "free", 0, "`bytes` that blob stores say are left (default 100 GiB)")
	fs.Int64Var(&o.MaxBodyBytes, "max-body", 0, "`bytes` above which a proxy refuses uploads (default no limit)")
	fs.Uint64Var(&o.Seed, "seed", 1, "`number` that chance in scripts begins with")
	fs.Func("repo", "a `repository`; repeat for more (default one of each format)", adder(&o.Repositories, repository))
	fs.Func("user", "a `user` with limited rights beside admin; repeat for more", adder(&o.Users, user))
	fs.Func("quirk", "a `quirk`, with =value unless it is a switch; repeat for more", func(s string) error { return setQuirk(&o.Quirks, s) })
	var scripts []nexustest.Script
	fs.Func("script", "a `script` of faults; repeat for more", adder(&scripts, nexustest.ScriptNamed))
	fs.BoolVar(&logged, "log", false, "print each request on stderr")
	list := fs.Bool("list", false, "print the names of quirks and scripts, and end")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		help(fs, stdout)
		return o, false, err
	case err != nil:
		return o, false, fmt.Errorf("%w; see -help", err)
	case fs.NArg() > 0:
		return o, false, fmt.Errorf("argument %q without a flag; see -help", fs.Arg(0))
	case *list:
		printNames(stdout)
		return o, false, flag.ErrHelp
	}
	o.Profile = nexustest.Profile(*profile)
	if o.Repositories == nil {
		o.Repositories = usual()
	}
	for _, sc := range scripts {
		o = sc.Apply(o)
	}
	return o, logged, nil
}

func help(fs *flag.FlagSet, stdout io.Writer) {
	fmt.Fprint(stdout, usage)
	fs.SetOutput(stdout)
	fs.PrintDefaults()
}

// adder appends what a repeated flag says.
func adder[T any](to *[]T, parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		v, err := parse(s)
		if err == nil {
			*to = append(*to, v)
		}
		return err
	}
}

// user reads NAME:PASSWORD[:ACTION+ACTION[:REPOSITORY+REPOSITORY]].
func user(s string) (nexustest.User, error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 4 {
		return nexustest.User{}, errors.New("a user is NAME:PASSWORD[:ACTION+ACTION[:REPOSITORY+REPOSITORY]]")
	}
	u := nexustest.User{Name: parts[0], Password: parts[1]}
	if len(parts) > 2 && parts[2] != "" {
		u.Actions = strings.Split(parts[2], "+")
	}
	if len(parts) > 3 {
		u.Repositories = strings.Split(parts[3], "+")
	}
	return u, nil
}

// repository reads [group:|proxy:]FORMAT:NAME[=MEMBER+MEMBER|=URL][,KEY[=VALUE]].
func repository(s string) (nexustest.Repository, error) {
	var r nexustest.Repository
	for _, kind := range []string{"group", "proxy"} {
		if rest, ok := strings.CutPrefix(s, kind+":"); ok {
			r.Type, s = kind, rest
		}
	}
	settings := strings.Split(s, ",")
	format, name, ok := strings.Cut(settings[0], ":")
	name, behind, more := strings.Cut(name, "=")
	if !ok || more != (r.Type != "") {
		return r, errors.New("a repository is FORMAT:NAME, group:FORMAT:NAME=MEMBER+MEMBER or proxy:FORMAT:NAME=URL")
	}
	r.Format, r.Name = format, name
	switch r.Type {
	case "group":
		r.Members = strings.Split(behind, "+")
	case "proxy":
		r.RemoteURL = behind
	}
	for _, setting := range settings[1:] {
		key, value, _ := strings.Cut(setting, "=")
		if err := set(&r, key, value); err != nil {
			return r, err
		}
	}
	return r, nil
}

// set changes one setting of a repository.
func set(r *nexustest.Repository, key, value string) error {
	texts := map[string]*string{"policy": &r.WritePolicy, "deploy": &r.DeployPolicy, "disposition": &r.Disposition, "blobstore": &r.BlobStore}
	numbers := map[string]*int{"port": &r.Port, "https-port": &r.HTTPSPort, "depth": &r.Depth}
	switches := map[string]*bool{"strict": &r.Strict, "offline": &r.Offline, "bearer": &r.BearerAuth, "latest": &r.LatestPolicy, "path": &r.PathEnabled}
	switch {
	case texts[key] != nil && value != "":
		*texts[key] = value
	case switches[key] != nil && value == "":
		*switches[key] = true
	case numbers[key] != nil:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%s of a repository: %q is no number", key, value)
		}
		*numbers[key] = n
	default:
		return fmt.Errorf("a repository has no setting %q, or not with that value", key)
	}
	return nil
}

// setQuirk sets the field that "Name" or "Name=value" names.
func setQuirk(q *nexustest.Quirks, s string) error {
	name, value, valued := strings.Cut(s, "=")
	f := reflect.ValueOf(q).Elem().FieldByName(name)
	if !f.IsValid() {
		return fmt.Errorf("no quirk %q; see -list", name)
	}
	var err error
	switch {
	case f.Kind() == reflect.Bool && !valued:
		f.SetBool(true)
	case !valued || f.Kind() == reflect.Bool:
		return fmt.Errorf("quirk %s is a %s", name, kindOf(f.Type()))
	case f.Type() == reflect.TypeFor[time.Duration]():
		var d time.Duration
		d, err = time.ParseDuration(value)
		f.SetInt(int64(d))
	case f.Kind() == reflect.Int:
		var n int
		n, err = strconv.Atoi(value)
		f.SetInt(int64(n))
	default:
		f.SetString(value)
	}
	if err != nil {
		return fmt.Errorf("quirk %s: %q is no %s", name, value, kindOf(f.Type()))
	}
	return nil
}

// kindOf says what a quirk takes.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Bool:
		return "switch"
	case t.Kind() == reflect.Int:
		return "number"
	}
	return "text"
}

func printNames(w io.Writer) {
	fmt.Fprintln(w, "Quirks; what each does is at nexustest.Quirks:")
	for _, f := range reflect.VisibleFields(reflect.TypeFor[nexustest.Quirks]()) {
		fmt.Fprintf(w, "  %-22s%s\n", f.Name, kindOf(f.Type))
	}
	fmt.Fprintln(w, "Scripts:")
	for _, sc := range nexustest.Scripts() {
		fmt.Fprintf(w, "  %-18s%s\n", sc.Name, sc.About)
	}
}
