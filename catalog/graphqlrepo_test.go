package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const wholeAPI = "read http:api.github.com/graphql"

func TestGraphQLOfRepositories(t *testing.T) {
	web := "read repo:acme/web"
	for name, c := range map[string]struct {
		query string
		vars  any
		want  string
	}{
		"literal":        {`{repository(owner:"Acme",name:"Web"){name issues(first:3){nodes{title body author{login}}totalCount}}}`, nil, web},
		"variables":      {`query Q($o:String!,$n:String!){repository(owner:$o,name:$n){pullRequest(number:3){title reviews(last:1){nodes{state}}}}}`, map[string]any{"o": "acme", "n": "web"}, web},
		"default":        {`query Q($o:String="acme"){repository(owner:$o,name:"web"){id}}`, nil, web},
		"default beaten": {`query Q($o:String="acme"){repository(owner:$o,name:"web"){id}}`, map[string]any{"o": "other"}, "read repo:other/web"},
		"two":            {`{a:repository(owner:"acme",name:"web"){id} b:repository(owner:"acme",name:"api"){id} rateLimit{remaining}}`, nil, web + ", read repo:acme/api"},
		"fragments":      {`query{...R} fragment R on Query{repository(owner:"acme",name:"web"){...F}} fragment F on Repository{issueOrPullRequest(number:1){...on Issue{title} ...on PullRequest{isDraft}}}`, nil, web},
		"edges":          {`{repository(owner:"acme",name:"web"){refs(refPrefix:"refs/",first:9){edges{cursor node{name target{... on Commit{history(first:2){nodes{messageHeadline}}}}}}pageInfo{hasNextPage}}}}`, nil, web},

		"owner's others":     {`{repository(owner:"acme",name:"web"){owner{repositories(first:9){nodes{name}}}}}`, nil, wholeAPI},
		"by a type":          {`{repository(owner:"acme",name:"web"){owner{... on Organization{repository(name:"secret"){object(expression:"HEAD:a"){... on Blob{text}}}}}}}`, nil, wholeAPI},
		"by an alias":        {`{repository(owner:"acme",name:"web"){name:owner{login:repositories(first:1){nodes{name}}}}}`, nil, wholeAPI},
		"author's issues":    {`{repository(owner:"acme",name:"web"){issues(first:1){nodes{author{...on User{issues(first:9){nodes{body}}}}}}}}`, nil, wholeAPI},
		"by a fragment":      {`query{repository(owner:"acme",name:"web"){...F}} fragment F on Repository{forks(first:9){nodes{name}}}`, nil, wholeAPI},
		"the fork's code":    {`{repository(owner:"acme",name:"web"){pullRequest(number:1){headRepository{object(expression:"HEAD:a"){id}}}}}`, nil, wholeAPI},
		"parent":             {`{repository(owner:"acme",name:"web"){parent{id}}}`, nil, wholeAPI},
		"a value with more":  {`{repository(owner:"acme",name:"web"){name{owner{login}}}}`, nil, wholeAPI},
		"beside it":          {`{repository(owner:"acme",name:"web"){id} viewer{login}}`, nil, wholeAPI},
		"node":               {`{node(id:"R_x"){id}}`, nil, wholeAPI},
		"search":             {`{search(query:"repo:acme/web x",type:ISSUE,first:1){issueCount}}`, nil, wholeAPI},
		"schema":             {`{__schema{types{name}}}`, nil, wholeAPI},
		"renames":            {`{repository(owner:"acme",name:"web",followRenames:false){id}}`, nil, wholeAPI},
		"no name":            {`{repository(owner:"acme"){id}}`, nil, wholeAPI},
		"name twice":         {`{repository(name:"web",name:"web"){id}}`, nil, wholeAPI},
		"null variable":      {`query Q($o:String="acme"){repository(owner:$o,name:"web"){id}}`, map[string]any{"o": nil}, wholeAPI},
		"number":             {`query Q($o:String){repository(owner:$o,name:"web"){id}}`, map[string]any{"o": 3}, wholeAPI},
		"odd variables":      {`query Q($o:String="acme"){repository(owner:$o,name:"web"){id}}`, `{"o":"other"}`, wholeAPI},
		"missing variable":   {`{repository(owner:$o,name:"web"){id}}`, nil, wholeAPI},
		"no word":            {`{repository(owner:"acme/../x",name:"web"){id}}`, nil, wholeAPI},
		"fragment of itself": {`query{repository(owner:"acme",name:"web"){...F}} fragment F on Repository{id ...F}`, nil, wholeAPI},
		"missing fragment":   {`query{repository(owner:"acme",name:"web"){...G}}`, nil, wholeAPI},
		"nothing":            {`{__typename}`, nil, wholeAPI},
		"deep":               {`{repository(owner:"acme",name:"web"){object(oid:"1"){` + strings.Repeat(`tree{entries{object{`, 40) + `id` + strings.Repeat(`}}}`, 40) + `}}}`, nil, wholeAPI},
	} {
		body, err := json.Marshal(map[string]any{"query": c.query, "variables": c.vars})
		if err != nil {
			t.Fatal(err)
		}
		calls, err := Classify(post(t, "github", graphQLURL, string(body)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, c := range calls {
			if c.Operation != "github.graphql.query" {
				t.Errorf("%s: %s", name, c.Operation)
			}
			got = append(got, fmt.Sprintf("%s %s:%s", c.Effect, c.Resource.Kind, c.Resource))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
}

// A fragment that doubles at every step must cost no more than the bound.
func TestGraphQLBombs(t *testing.T) {
	q := `query{repository(owner:"a",name:"b"){...F0}}`
	for i := range 40 {
		q += fmt.Sprintf(` fragment F%d on Repository{...F%d ...F%d}`, i, i+1, i+1)
	}
	q += ` fragment F40 on Repository{id}`
	body, _ := json.Marshal(map[string]string{"query": q})
	calls, err := Classify(post(t, "github", graphQLURL, string(body)))
	if err != nil || len(calls) != 1 || calls[0].Resource.Kind != "http" {
		t.Errorf("%v, %+v", err, calls)
	}
}

func TestParseTypesErrors(t *testing.T) {
	for _, bad := range []string{"A b b", "A b:B", "A b:B[]"} {
		if _, err := parseTypes(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}
