package template

import (
	"bytes"
	"errors"
	htmltemplate "html/template"
	"strings"
	"testing"
)

// A user is data with what the templates below ask for.
type user struct {
	Name, URL, Role string
	Body            HTML
	Count           int
	Good            bool
	Friends         []friend
	Best            *friend
	Any             any
	Notes           map[string]string
}

type friend struct{ Name, URL string }

// The tests draw page in frame, with this package and with html/template.
const frame = `<!doctype html>
<html lang="en"><head><title>{{with .Name}}{{.}} · {{end}}x</title><link href="{{asset "a"}}"></head>
{{- /* a comment */ -}}
<body{{if .Good}} class="good"{{end}}>
{{block "main" .}}nothing{{end}}
{{template "one" .Best}}{{template "end"}}
</body>
</html>
{{define "end"}}<hr>{{end}}
{{define "one"}}{{with .}}<b title="{{.Name}}">{{.URL}}</b>{{else}}none{{end}}{{end}}
`

const page = `{{define "main"}}
{{- range $i, $f := .Friends}}
<a class="f{{if $i}} quiet{{end}}" id="f-{{$i}}" href="{{$f.URL}}">{{$f.Name}} of {{$.Name}}</a>
{{if eq .Name "a"}}!{{end}}{{if ne .Name .URL}}?{{end}}
{{- end}}
{{range .Friends}}{{.Name}}{{end}}{{range $f := .Friends}}{{$f.Name}}{{end}}
{{if and .Good (not .Count)}}1{{else if eq .Count 1}}{{.Count}}{{else}}3{{end}}
<input type="hidden" value="{{.Name}}" aria-label="{{.Name}} {{.Count}}" data-x="a {{.Role}}">
<img src="{{.URL}}" alt="">
<form action="{{.URL}}"></form>
{{.Any}}{{.Notes.a}}{{if .Notes}}n{{end}}{{.Body}}
{{end}}`

func asset(name string) (any, error) {
	if name != "a" {
		return nil, errors.New("no asset")
	}
	return "/assets/a.1+2", nil
}

// sameAsHTMLTemplate fails the test if html/template draws the data otherwise.
func sameAsHTMLTemplate(t *testing.T, data user) {
	t.Helper()
	ours, err := Parse([]string{"page"}, map[string]Func{"asset": asset}, Source{"page", frame}, Source{"main", page})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ours.Append(nil, "page", data)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := htmltemplate.New("page").Funcs(htmltemplate.FuncMap{"asset": asset}).Parse(frame)
	if err == nil {
		theirs, err = theirs.Parse(page)
	}
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := theirs.Execute(&want, struct {
		user
		Body htmltemplate.HTML
	}{data, htmltemplate.HTML(data.Body)}); err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() {
		t.Errorf("for %+v\n%s\nwant\n%s", data, got, want.String())
	}
}

// hostile are values that would be something else than text, if they were not escaped.
var hostile = []string{
	"", "a", `<script>alert(1)</script>`, `" onload="alert(1)`, `'>`, "&amp;&#34;", "javascript:alert(1)",
	"JavaScript:alert(1)",
	"\x00", "java\nscript:x", " javascript:x", "data:text/html,x", "https://e.com/?a=b&c=%20+%zz (x)'", "mailto:a@b",
	"/a:b",
	"//e.com", "?a=b#c", "\xff\u00e4\u2028", "`{{.}}", "vbscript:x", "%6aavascript:x", "javascript&colon;x", "a:b", ":",
	"+43",
}

func TestSameAsHTMLTemplate(t *testing.T) {
	t.Parallel()
	sameAsHTMLTemplate(t, user{Notes: map[string]string{"a": ""}})
	for i, text := range hostile {
		f := friend{text, text}
		sameAsHTMLTemplate(t, user{
			Name: text, URL: text, Role: text, Body: "<i>b</i>", Count: i, Good: i%2 == 0, Any: text,
			Friends: []friend{{"a", "a"}, f}, Best: &f, Notes: map[string]string{"a": text},
		})
	}
}

func FuzzSameAsHTMLTemplate(f *testing.F) {
	for i, text := range hostile {
		f.Add(text, "/", i)
		f.Add("a", text, i)
	}
	f.Fuzz(func(t *testing.T, text, url string, count int) {
		sameAsHTMLTemplate(t, user{
			Name: text, URL: url, Role: url, Count: count, Good: count > 1, Any: text,
			Friends: []friend{{text, url}}, Notes: map[string]string{"a": url},
		})
	})
}

// A style sheet is written as it is, and nothing else is one.
func TestStyle(t *testing.T) {
	t.Parallel()
	tmpl, err := Parse([]string{"page"}, nil, Source{"page", "<style>{{.}}</style>{{.}}"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tmpl.Append([]byte("x"), "page", CSS(`a{b:"c"}`))
	if want := `x<style>a{b:"c"}</style>a{b:&#34;c&#34;}`; err != nil || string(got) != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	for _, data := range []any{"a{}", HTML("a{}"), CSS("</style>"), nil, 1} {
		if got, err := tmpl.Append(nil, "page", data); err == nil {
			t.Errorf("%v is taken for a style: %s", data, got)
		}
	}
}

// A template that puts a value where it could do something is no template.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`<a href={{.}}>`, `<a href='{{.}}'>`, `<a onclick="{{.}}">`, `<a style="{{.}}">`, `<a {{.}}>`, `<{{.}}>`,
		`<a {{.}}="b">`,
		`<script>{{.}}</script>`, `<script src="/a">{{.}}</script>`, `<iframe srcdoc="{{.}}">`, `<img srcset="{{.}}">`,
		`<a href="/a?{{.}}">`, `<a href="{{.}}{{.}}">`, `<a href="{{if .}}x{{end}}{{.}}">`, `<!-- {{.}} -->`, `<a`,
		`<a href="`,
		`{{if .}}<a {{end}}>`, `{{if .}}<a>{{else}}<a href="{{end}}">`, `{{range .}}<a {{end}}>`,
		`<a hre{{if .}}f{{end}}="/">`,
		`<meta content="{{.}}">`, `<svg:a href="x">{{.}}`, `<A ONCLICK="{{.}}">`, `<a xlink:href="{{.}}">`,
		`{{define "x"}}<a {{end}}{{template "x"}}`, `{{template "page"}}`, `{{template "none"}}`,
		`{{. | eq 1}}`, `{{eq 1}}`, `{{not 1 2}}`, `{{and 1}}`, `{{1.5}}`, `{{$x := .}}{{$x}}`, `{{if $x := .}}{{end}}`,
		`{{.A.B | not}}`,
		`{{with $x := .}}{{end}}`, `{{range .}}{{else}}{{end}}`, `{{range .}}{{break}}{{end}}`, `{{nil}}`, `{{true}}`,
		`{{.A 1}}`,
		`{{none}}`, `{{`, `{{printf "%s" .}}`, `{{js .}}`,
	} {
		if tmpl, err := Parse([]string{"page"}, map[string]Func{"asset": asset}, Source{"page", text}); err == nil {
			got, err := tmpl.Append(nil, "page", map[string]string{"A": "b"})
			t.Errorf("%s is a template, and draws %s (%v)", text, got, err)
		}
	}
}

// What a template asks for in vain is an error.
func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{{.Nme}}`, `{{.Name.X}}`, `{{.Best.Name}}`, `{{.Notes.b}}`, `{{range .Name}}{{end}}`, `{{.Good}}`, `{{.Friends}}`,
		`{{asset .Name}}`, `{{eq .Good .Name}}`, `{{$.X}}`, `{{not .X}}`, `{{if .X}}{{end}}`, `{{with .X}}{{end}}`,
		`{{template "t" .X}}{{define "t"}}{{end}}`,
	} {
		tmpl, err := Parse([]string{"page"}, map[string]Func{"asset": asset}, Source{"page", text})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := tmpl.Append(nil, "page", user{Name: "b"}); err == nil {
			t.Errorf("%s draws %q", text, got)
		}
	}
	tmpl, err := Parse([]string{"page"}, nil, Source{"page", ""})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Append(nil, "other", nil); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("a template that there is not: %v", err)
	}
}
