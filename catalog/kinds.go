package catalog

// kind is one kind of service.
type kind struct {
	name       string
	hosts      []string
	classify   func(*Request) ([]Call, error)
	operations func() []Operation
}

func kinds() []kind {
	none := func() []Operation { return nil }
	return []kind{
		{"http", nil, classifyHTTP, none},
		{"web", nil, classifyWeb, none},
		{"github", []string{
			"api.github.com", "github.com", "uploads.github.com", "raw.githubusercontent.com", "codeload.github.com",
		}, classifyGitHub, func() []Operation { return githubTable().operations() }},
		{"anthropic", []string{"api.anthropic.com"}, classifyAnthropic, func() []Operation { return anthropicTable().operations() }},
		{"openai", []string{"api.openai.com"}, classifyOpenAI, func() []Operation { return openAITable().operations() }},
		{"npm", []string{"registry.npmjs.org"}, classifyNPM, func() []Operation { return npmTable().operations() }},
		{"pypi", []string{"pypi.org", "files.pythonhosted.org", "upload.pypi.org"}, classifyPyPI, func() []Operation { return pypiTable().operations() }},
		{"goproxy", []string{"proxy.golang.org", "sum.golang.org"}, classifyGoProxy, func() []Operation { return goProxyTable().operations() }},
	}
}

func kindOf(name string) (kind, bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}
