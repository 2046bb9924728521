package grammar

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var update = flag.Bool("update", false, "write the generated files anew")

// TestNodes keeps data/nodes.txt the description that libpg_query's own Go
// types have.
func TestNodes(t *testing.T) {
	file := (&pg.ParseResult{}).ProtoReflect().Descriptor().ParentFile()
	var lines []string
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		if n := string(m.Name()); n == "ScanResult" || n == "ScanToken" || n == "SummaryResult" {
			continue
		}
		lines = append(lines, messageLine(m))
	}
	for i := range file.Enums().Len() {
		e := file.Enums().Get(i)
		if e.Name() == "Token" || e.Name() == "KeywordKind" {
			continue
		}
		words := []string{"enum", string(e.Name())}
		for j := range e.Values().Len() {
			words = append(words, fmt.Sprintf("%s=%d", e.Values().Get(j).Name(), e.Values().Get(j).Number()))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	sort.Strings(lines)
	want := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile("data/nodes.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, nodesText); d != "" {
		t.Errorf("data/nodes.txt is not libpg_query's description; run the test with -update and review what is new (-want +got):\n%s", d)
	}
}

func messageLine(m protoreflect.MessageDescriptor) string {
	words := []string{string(m.Name())}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		kind := "i"
		switch f.Kind() {
		case protoreflect.MessageKind:
			kind = string(f.Message().Name())
		case protoreflect.EnumKind:
			kind = "e/" + string(f.Enum().Name())
		case protoreflect.StringKind:
			kind = "s"
		case protoreflect.BoolKind:
			kind = "b"
		}
		words = append(words, fmt.Sprintf("%s=%d:%s", f.Name(), f.Number(), kind))
	}
	return strings.Join(words, " ")
}
