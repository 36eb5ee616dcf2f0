package nexustest

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// uploadForm is a multipart upload: fields of the component and files with fields
// of their own, by the number in raw.asset1.
type uploadForm struct {
	fields map[string]string
	assets map[string]*formAsset
	order  []string // of the assets
}

// formAsset is one file of a form, and where it is to go.
type formAsset struct {
	fields      map[string]string
	content     *content // nil when only fields came
	contentType string
	path        string
}

// release drops what was not stored. The caller holds Server.mu.
func (f *uploadForm) release() {
	for _, a := range f.assets {
		if a.content != nil && a.content.refs == 0 {
			a.content.release()
		}
	}
}

// uploadComponents takes a form of files. All are stored, or none.
func (x *exchange) uploadComponents() {
	repo, ok := x.formRepository()
	if !ok {
		return
	}
	r, err := x.r.MultipartReader()
	if err != nil {
		x.write(http.StatusBadRequest, "application/json", []byte(`"Expected multipart Content-Type"`))
		return
	}
	form, err := x.readForm(r, repo.Format)
	defer func() {
		x.s.mu.Lock()
		defer x.s.mu.Unlock()
		form.release()
	}()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		x.proxyError(http.StatusRequestEntityTooLarge, http.StatusText(http.StatusRequestEntityTooLarge))
		return
	}
	if err != nil {
		x.textError(http.StatusBadRequest, err.Error())
		return
	}
	if complaints := form.complain(repo.Format); len(complaints) > 0 {
		x.violations(http.StatusBadRequest, complaints)
		return
	}
	if err := x.storeForm(repo, form); err != nil {
		x.refuseForm(err)
		return
	}
	x.w.WriteHeader(http.StatusNoContent)
}

// formRepository finds the repository of a multipart upload. It answers, and
// returns false, when nothing can be uploaded to it.
func (x *exchange) formRepository() (Repository, bool) {
	name := x.r.URL.Query().Get("repository")
	x.s.mu.Lock()
	found := x.s.repos[name]
	var r Repository
	if found != nil {
		r = found.Repository
	}
	x.s.mu.Unlock()
	lacks := func(action string) bool { return !x.user.may(name, action) }
	switch {
	case name == "":
		x.textError(http.StatusUnprocessableEntity, "Required query parameter 'repository' is missing")
	case found == nil:
		x.notFound()
	case slices.ContainsFunc([]string{"browse", "read", "add", "edit"}, lacks):
		if x.s.opts.Quirks.FormDenied {
			x.invalid("*", "Not authorized for requested path")
			break
		}
		x.status(http.StatusForbidden)
	case x.eulaBlocks():
		x.status(http.StatusForbidden)
	case r.Type != "hosted":
		x.invalid("*", fmt.Sprintf("Uploading components to a '%s' type repository is unsupported, must be 'hosted'", r.Type))
	case r.Offline:
		x.invalid("*", "Repository offline")
	case !slices.Contains([]string{"raw", "yum", "helm"}, r.Format):
		x.invalid("*", fmt.Sprintf("Uploading components to '%s' repositories is unsupported", r.Format))
	default:
		return r, true
	}
	return Repository{}, false
}

var assetField = regexp.MustCompile(`^asset(\d*)(?:\.(\w+))?$`)

// readForm spools the form to disk.
func (x *exchange) readForm(r *multipart.Reader, format string) (*uploadForm, error) {
	form := &uploadForm{fields: map[string]string{}, assets: map[string]*formAsset{}}
	for {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil {
			return form, err
		}
		name := strings.TrimPrefix(part.FormName(), format+".")
		m := assetField.FindStringSubmatch(name)
		if m == nil {
			value, err := io.ReadAll(io.LimitReader(part, 64<<10))
			if err != nil {
				return form, err
			}
			form.fields[name] = string(value)
			continue
		}
		if err := x.readAsset(form, part, m[1], m[2], format); err != nil {
			return form, err
		}
	}
}

// readAsset reads a file of a form, or one of its fields.
func (x *exchange) readAsset(form *uploadForm, part *multipart.Part, number, field, format string) error {
	a := form.assets[number]
	if a == nil {
		a = &formAsset{fields: map[string]string{}}
		form.assets[number] = a
		form.order = append(form.order, number)
	}
	if field != "" {
		value, err := io.ReadAll(io.LimitReader(part, 64<<10))
		a.fields[field] = string(value)
		return err
	}
	in, err := x.s.disk.newIntake(x.s.prof.computedOfForm(format, x.s.opts.Quirks))
	if err != nil {
		return err
	}
	defer in.drop()
	if err := in.receive(part); err != nil {
		return err
	}
	a.content, err = in.finish()
	a.contentType = part.Header.Get("Content-Type")
	return err
}

// formFields are the fields of a component and of an asset, by format.
var formFields = map[string]struct {
	component, asset []formField
	multiple         bool
}{
	"raw":  {component: []formField{{"directory", "Directory", false}}, asset: []formField{{"filename", "Filename", false}}, multiple: true},
	"yum":  {component: []formField{{"directory", "Directory", true}}, asset: []formField{{"filename", "Filename", false}}},
	"helm": {},
}

type formField struct {
	name, label string
	optional    bool
}

// complain returns everything that is wrong with the form.
func (f *uploadForm) complain(format string) []violation {
	var out []violation
	say := func(format string, args ...any) { out = append(out, violation{"*", fmt.Sprintf(format, args...)}) }
	spec := formFields[format]
	if len(f.order) == 0 {
		say("No assets found in upload")
	}
	for _, want := range spec.component {
		if f.fields[want.name] == "" && !want.optional {
			say("Missing required component field '%s'", want.label)
		}
	}
	for _, name := range sortedKeys(f.fields) {
		if !slices.ContainsFunc(spec.component, func(w formField) bool { return w.name == name }) {
			say("Unknown component field '%s'", name)
		}
	}
	seen := map[string]string{}
	for _, number := range f.order {
		a := f.assets[number]
		for _, want := range spec.asset {
			if a.fields[want.name] == "" && !want.optional {
				say("Missing required asset field '%s' on '%s'", want.label, orText(number, "1"))
			}
		}
		a.path = strings.Trim(path.Join(f.fields["directory"], a.fields["filename"]), "/")
		if other, twice := seen[a.path]; twice && len(spec.asset) > 0 {
			say("The assets %s and %s have identical coordinates", other, number)
		}
		seen[a.path] = number
		if a.content == nil {
			say("Missing payload of asset '%s'", number)
		}
	}
	return out
}

// storeForm stores all files, or says why it stores none.
func (x *exchange) storeForm(repo Repository, f *uploadForm) error {
	x.repo, x.format = repo.Name, repo.Format
	for _, number := range f.order {
		a := f.assets[number]
		if err := x.placeForm(repo, a); err != nil {
			return err
		}
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	r := x.s.repos[repo.Name]
	if r == nil {
		return &refusal{http.StatusNotFound, "Repository not found"}
	}
	for _, number := range f.order {
		if err := x.s.writable(r, f.assets[number].path); err != nil {
			return err
		}
	}
	for _, number := range f.order {
		a := f.assets[number]
		x.s.store(r, a.path, contentTypeOf(a.path, a.contentType), a.content, x).form = true
	}
	x.s.changed(r)
	return nil
}

// placeForm finds out where a file goes, and whether it may go there.
func (x *exchange) placeForm(repo Repository, a *formAsset) error {
	var check func(*content) error
	switch repo.Format {
	case "helm":
		ch, err := readChart(a.content)
		if err != nil {
			return &refusal{http.StatusBadRequest, "Invalid chart: " + err.Error()}
		}
		a.path = ch.Name + "-" + ch.Version + ".tgz"
	case "yum":
		if err := x.yumPath(repo, a.path); err != nil {
			return err
		}
		check = x.yumCheck(a.path)
	}
	if hasRelativeToken(a.path) {
		return &refusal{http.StatusBadRequest, "Repository path must not contain a relative token"}
	}
	return x.vet(repo, a.path, a.content, check)
}

// refuseForm answers why a form was not stored. Later servers print the
// complaint as text.
func (x *exchange) refuseForm(err error) {
	code, text := http.StatusInternalServerError, err.Error()
	if r, ok := errors.AsType[*refusal](err); ok {
		code, text = r.code, r.reason
	}
	switch {
	case text == paymentText:
		x.paymentRequired()
	case code == http.StatusConflict:
		x.textError(code, fmt.Sprintf("ValidationErrorXO{id='*', message='%s'}", text))
	case code >= 500:
		x.serverError(errors.New(text))
	default:
		x.violations(code, []violation{{"*", text}})
	}
}

// serveFormats answers what forms each format takes.
func (x *exchange) serveFormats(args []string) {
	if len(args) == 0 || args[0] != "upload-specs" || len(args) > 2 {
		x.noSuchPage()
		return
	}
	if len(args) == 2 {
		if _, ok := formFields[args[1]]; !ok {
			x.notFound()
			return
		}
		x.json(http.StatusOK, specOf(args[1]))
		return
	}
	out := []uploadSpec{}
	for _, format := range sortedKeys(formFields) {
		out = append(out, specOf(format))
	}
	x.json(http.StatusOK, out)
}

// uploadSpec is what forms a format takes, as the API prints it.
type uploadSpec struct {
	Multiple  bool        `json:"multipleUpload"`
	Format    string      `json:"format"`
	Component []fieldSpec `json:"componentFields"`
	Asset     []fieldSpec `json:"assetFields"`
}

type fieldSpec struct {
	Name        string  `json:"name"`
	Type        string  `json:"type"`
	Description *string `json:"description"`
	Optional    bool    `json:"optional"`
	Group       string  `json:"group"`
}

func specOf(format string) uploadSpec {
	spec := formFields[format]
	specs := func(fields []formField, group string) []fieldSpec {
		out := []fieldSpec{}
		for _, f := range fields {
			out = append(out, fieldSpec{Name: f.name, Type: "STRING", Optional: f.optional, Group: group})
		}
		return out
	}
	return uploadSpec{spec.multiple, format, specs(spec.component, "Component attributes"), specs(spec.asset, "Asset attributes")}
}
