package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const description = `{"paths": {
	"/repos/{owner}/{repo}": {"get": {"operationId": "repos/get", "summary": "Get a repository"},
		"delete": {"operationId": "repos/delete", "summary": "Delete a repository"}, "parameters": []},
	"/repos/{owner}/{repo}/stars": {"put": {"operationId": "stars/add", "summary": "Add  a star."}},
	"/repos/{owner}/{repo}/start": {"get": {"operationId": "work/start"}},
	"/repos/{owner}/{repo}/git/refs/{ref}": {"get": {"operationId": "git/get-ref", "summary": "Get a ref"},
		"patch": {"operationId": "git/update-ref", "summary": "Move a ref"}}
}}`

func TestWrite(t *testing.T) {
	ops, err := read(strings.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	chosen := "# By hand\nGET /repos/{o}/{r} github.repos.get read Read it\nGET /repos/{o}/{r}/git/{rest...} github.git.get read Read git\n"
	got, err := write(ops, chosen, "# why\nwrite stars/*\nwrite work/start\n")
	if err != nil {
		t.Fatal(err)
	}
	want := chosen + `# All other operations that GitHub publishes, under its own ids. Written by internal/githubops from a
# description of 6 operations: do not edit.
DELETE /repos/{owner}/{repo} github.repos.delete irreversible Delete a repository
PATCH  /repos/{owner}/{repo}/git/refs/{ref} github.git.update-ref irreversible Move a ref
PUT    /repos/{owner}/{repo}/stars github.stars.add write Add a star
GET    /repos/{owner}/{repo}/start github.work.start write work/start
`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}

func TestWriteRefuses(t *testing.T) {
	ops, err := read(strings.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	for _, rules := range []string{"write nobody/*", "maybe stars/*", "write stars/* work/*"} {
		if b, err := write(ops, "", rules); err == nil {
			t.Errorf("%q gave %s", rules, b)
		}
	}
	for _, bad := range []string{``, `{}`, `{"paths":{"/a":{"get":{"operationId":"noslash"}}}}`, `{"paths":{"/a":{"get":3}}}`} {
		if ops, err := read(strings.NewReader(bad)); err == nil {
			t.Errorf("%q gave %v", bad, ops)
		}
	}
}

// The table begins with the lines that were chosen by hand, as they are here.
func TestTheTableIsOurs(t *testing.T) {
	b, err := os.ReadFile("../../" + target)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(string(b), curated)
	if !ok {
		t.Fatal("the table does not begin with curated.txt: run githubops again")
	}
	if n := strings.Count(rest, "\n"); n < 800 {
		t.Errorf("only %d operations follow", n)
	}
	if _, err := parseRules(rules); err != nil {
		t.Error(err)
	}
}
