package sts

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Documents as services write them, and others that encoding/xml takes.
var documents = []string{
	"<a>b</a>",
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">" +
		"<Error><Type/><Code>AccessDenied</Code>\n<Message>No &lt;role&gt; &amp; no &#x41;&#65;</Message></Error>" +
		"<RequestId>1</RequestId></ErrorResponse>",
	"<a:b xmlns:a='x' >\n<a:c>1</a:c ><c>23<![CDATA[<&]]></c></a:b>\n",
}

func TestElements(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		sameAsLibrary(t, document, true)
	}
	_, texts, _ := elements([]byte(documents[1]))
	if got := texts["Error/Message"]; got != "No <role> & no AA" {
		t.Errorf("the message is %q", got)
	}
	for _, document := range []string{
		"", " ", "a", "<a>", "<a></b>", "</a>", "<a/><b/>", "<a/>b", "b<a/>", "<a", "<a></a", "<a b></a>", "<a b=c></a>",
		"<a b='c></a>", "<a b='c'd='e'></a>", "<a b='<'/>", "<a>&b;</a>", "<a>&</a>", "<a>&#0;</a>", "<a>&#xD800;</a>",
		"<a>&#x110000;</a>", "<a>\x01</a>", "<a>\xff</a>", "<!DOCTYPE a><a/>", "<a><!-- </a>", "<a><![CDATA[</a>",
		"<a>]]></a>", "<a>2<!-- no -->3</a>", "<a><!--b--c--></a>", "<??><a/>", "<a/><?xml version=\"1.0\"?>",
		"<?xml version=\"1.1\"?><a/>", "<?xml version=\"1.0\" encoding=\"latin1\"?><a/>",
		"<![CDATA[b]]><a/>", "< a></a>", "<a:b:c></a:b:c>", "<1></1>", "{\"a\":1}",
		strings.Repeat("<a>", 99) + strings.Repeat("</a>", 99),
	} {
		if root, texts, ok := elements([]byte(document)); ok {
			t.Errorf("%q is read: %q %q", document, root, texts)
		}
	}
}

// sameAsLibrary fails the test if encoding/xml reads a document otherwise.
func sameAsLibrary(t *testing.T, document string, must bool) {
	t.Helper()
	root, texts, ok := elements([]byte(document))
	if !ok {
		if must {
			t.Errorf("%q is not read", document)
		}
		return
	}
	var names []string
	var open []string
	want := map[string]string{}
	decoder := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%q: %v, but it is read: %q %q", document, err, root, texts)
		}
		switch token := token.(type) {
		case xml.StartElement:
			names, open = append(names, token.Name.Local), append(open, "")
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1] += string(token)
			}
		case xml.EndElement:
			want[strings.Join(names[1:], "/")] = open[len(open)-1]
			if names, open = names[:len(names)-1], open[:len(open)-1]; len(names) == 0 && token.Name.Local != root {
				t.Errorf("%q: the root is %q, want %q", document, root, token.Name.Local)
			}
		}
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("%q: %s", document, diff)
	}
}

// FuzzElements asks that encoding/xml reads the same in every document that elements reads.
func FuzzElements(f *testing.F) {
	for _, document := range documents {
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, document string) { sameAsLibrary(t, document, false) })
}
