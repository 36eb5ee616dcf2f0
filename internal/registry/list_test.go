package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
)

func tags(t *testing.T, r *registry.Registry) (got []string, answers int, err error) {
	t.Helper()
	for tag, err := range r.Tags(t.Context()) {
		if err != nil {
			return got, answers, err
		}
		got, answers = append(got, tag.Repository+":"+tag.Tag), tag.Page
	}
	return got, answers, nil
}

// lister is a registry that only lists, page by page or all at once.
type lister struct {
	tags    map[string][]string
	catalog func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	link    string                                            // prefix of the path in Link; "-": none is sent
	whole   bool                                              // n and last are ignored
	strict  bool                                              // n above 50 is refused; without n that many come
	asked   []string
}

func (l *lister) start(t *testing.T) *registry.Registry {
	t.Helper()
	srv := httptest.NewServer(l)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL + "/repository/docker")
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.NewClient(httpx.NewTransport(httpx.Options{Attempts: 2, Backoff: func(int) time.Duration { return time.Millisecond }}))
	return registry.New(registry.Options{Base: u, Client: client})
}

func (l *lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.asked = append(l.asked, r.URL.Path)
	rest, ok := strings.CutPrefix(r.URL.Path, "/repository/docker/v2/")
	if !ok {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	if rest == "_catalog" {
		if l.catalog != nil && l.catalog(w, r) {
			return
		}
		var names []string
		for name := range l.tags {
			names = append(names, name)
		}
		slices.Sort(names)
		l.answer(w, r, "repositories", names)
		return
	}
	name := strings.TrimSuffix(rest, "/tags/list")
	if all, ok := l.tags[name]; ok && all != nil {
		l.answer(w, r, "tags", all)
		return
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
}

func (l *lister) answer(w http.ResponseWriter, r *http.Request, member string, all []string) {
	q := r.URL.Query()
	if n, _ := strconv.Atoi(q.Get("n")); l.strict && n > 50 {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}`)
		return
	}
	if l.strict {
		q.Set("n", "50")
	}
	if n, err := strconv.Atoi(q.Get("n")); err == nil && !l.whole && !l.strict {
		i, found := slices.BinarySearch(all, q.Get("last"))
		if found {
			i++
		}
		if all = all[i:]; len(all) > n {
			all = all[:n]
			if l.link != "-" {
				w.Header().Set("Link", "<"+l.link+"/v2/elsewhere?n=1&last=x>; rel=\"next\"")
			}
		}
	}
	fmt.Fprintf(w, `{"name":"x",%q:[`, member)
	for i, name := range all {
		fmt.Fprint(w, strings.Repeat(",", min(i, 1)), strconv.Quote(name))
	}
	fmt.Fprint(w, "]}")
}

// Contract 3.6: lists with Link headers that lead elsewhere, without them, or in one piece.
func TestLists36(t *testing.T) {
	have := map[string][]string{"empty": nil}
	var want []string
	for i := range 230 {
		name := fmt.Sprintf("team/app%03d", i)
		have[name] = []string{"1", "2"}
		want = append(want, name+":1", name+":2")
	}
	var many []string
	for i := range 201 {
		many = append(many, fmt.Sprintf("v%03d", i))
		want = append(want, "zoo:"+many[i])
	}
	have["zoo"] = many
	for label, l := range map[string]*lister{
		"prefix lost": {link: ""}, "prefix kept": {link: "/repository/docker"}, "other host": {link: "http://10.0.0.1"},
		"no Link": {link: "-"}, "all at once": {whole: true}, "fewer": {strict: true},
	} {
		l.tags = have
		got, answers, err := tags(t, l.start(t))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", label, err, diff)
		}
		if slices.ContainsFunc(l.asked, func(p string) bool { return strings.Contains(p, "elsewhere") }) || answers != len(l.asked)-1 && !l.whole && !l.strict {
			t.Errorf("%s: %d answers, asked %d times", label, answers, len(l.asked)) // -1: what has no tags is no answer
		}
	}
}

func TestListsRefused(t *testing.T) {
	status := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
			return true
		}
	}
	again := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Link", `</v2/_catalog?n=1&last=a>; rel="next"`)
		fmt.Fprint(w, `{"repositories":["a"]}`)
		return true
	}
	for label, tt := range map[string]struct {
		catalog func(http.ResponseWriter, *http.Request) bool
		class   report.Class
		want    string
	}{
		"401":         {status(401, ""), report.ClassRefused, "401"},
		"403":         {status(403, ""), report.ClassRefused, "403"},
		"404":         {status(404, ""), report.ClassUnavailable, "404"},
		"500":         {status(500, ""), report.ClassUnavailable, "500"},
		"page":        {status(200, "<html>"), report.ClassRefused, "not the expected JSON"},
		"other":       {status(200, "{}"), report.ClassRefused, "not the expected JSON"},
		"bad name":    {status(200, `{"repositories":["../../x"]}`), report.ClassInternal, `repository name "../../x"`},
		"without end": {again, report.ClassRefused, "the list has no end"},
	} {
		l := &lister{tags: map[string][]string{"a": {"1"}}, catalog: tt.catalog}
		_, _, err := tags(t, l.start(t))
		if err == nil || !strings.Contains(err.Error(), tt.want) || report.Classify(err) != tt.class {
			t.Errorf("%s: class %d of %v", label, report.Classify(err), err)
		}
	}
	l := &lister{catalog: func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"repositories":null}`)
		return true
	}}
	if got, _, err := tags(t, l.start(t)); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// The real thing: Distribution, with a login.
func TestListOfDistribution(t *testing.T) {
	d := registrytest.Start(t, registrytest.Options{Username: "u", Password: "p"})
	client := registry.New(registry.Options{Base: d.URL, Username: "u", Password: "p"})
	if got, _, err := tags(t, client); err != nil || len(got) != 0 {
		t.Errorf("empty: %v, %v", got, err)
	}
	const index = "application/vnd.oci.image.index.v1+json"
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + index + `","manifests":[]}`)
	var want []string
	for i := range 103 {
		tag := fmt.Sprintf("v%03d", i)
		if err := client.PushManifest(t.Context(), "team/app", tag, index, raw); err != nil {
			t.Fatal(err)
		}
		want = append(want, "team/app:"+tag)
	}
	got, _, err := tags(t, client)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	_, _, err = tags(t, registry.New(registry.Options{Base: d.URL}))
	if se, ok := errors.AsType[*httpx.StatusError](err); !ok || se.Code != 401 {
		t.Errorf("without login: %v", err)
	}
}
