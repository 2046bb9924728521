package audit

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
)

func TestCanonicalStrings(t *testing.T) {
	for s, want := range map[string]bool{
		`{}`: true,
		`{"args":{"a":"\"\\\b\t\n\f\r\u0000\u001f\u000b","b":"ü😀"},"z":""}`: true,
		`{"":"x"}`:                  true,
		`{"b":"1","a":"2"}`:         false,
		`{"a":"1","a":"2"}`:         false,
		`{"a":1}`:                   false,
		`{"a":["x"]}`:               false,
		`{"a":"x"} `:                false,
		` {"a":"x"}`:                false,
		`{"a": "x"}`:                false,
		`{"a":"x",}`:                false,
		`{"a":"x"`:                  false,
		`{"a"`:                      false,
		`{"a":`:                     false,
		`{"a":"\/"}`:                false,
		`{"a":"\u0041"}`:            false,
		`{"a":"\u0009"}`:            false,
		`{"a":"\u001F"}`:            false,
		"{\"a\":\"\x01\"}":          false,
		"{\"a\":\"\xff\"}":          false,
		"{\"ü\":\"\"}":              false,
		`{"\n":""}`:                 false,
		`[]`:                        false,
		`""`:                        false,
		``:                          false,
		strings.Repeat(`{"a":`, 40): false,
		strings.Repeat(`{"a":`, MaxDataDepth) + `{}` + strings.Repeat(`}`, MaxDataDepth):     false,
		strings.Repeat(`{"a":`, MaxDataDepth-1) + `{}` + strings.Repeat(`}`, MaxDataDepth-1): true,
	} {
		if got := canonicalStrings([]byte(s)); got != want {
			t.Errorf("canonicalStrings(%s) = %v", s, got)
		}
	}
}

func FuzzCanonicalStrings(f *testing.F) {
	f.Add([]byte(`{"args":{"a":"\"\\\u0000","b":"ü"},"z":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !canonicalStrings(b) {
			return
		}
		c, err := jcs.Transform(b)
		if err != nil || !bytes.Equal(c, b) {
			t.Errorf("%q passes for canonical, and is %q, %v", b, c, err)
		}
		if n, err := objectEnd(b); err != nil || n != len(b) {
			t.Errorf("%q passes for one object: %d, %v", b, n, err)
		}
	})
}
