package catalog

// kind is one kind of service.
type kind struct {
	hosts    hosts
	classify func(*Request) ([]Call, error)
	table    func() *table // nil for a kind without operations of its own
}

// Kinds lists the kinds of service, sorted.
func Kinds() []string {
	return []string{"anthropic", "github", "goproxy", "http", "npm", "openai", "pypi", "web"}
}

func kindOf(name string) (kind, bool) {
	switch name {
	case "http":
		return kind{classify: classifyHTTP}, true
	case "web":
		return kind{classify: classifyWeb}, true
	case "github":
		return kind{githubHosts, classifyGitHub, githubTable}, true
	case "anthropic":
		return kind{hosts("api.anthropic.com"), classifyAnthropic, anthropicTable}, true
	case "openai":
		return kind{hosts("api.openai.com"), classifyOpenAI, openAITable}, true
	case "npm":
		return kind{hosts("registry.npmjs.org"), classifyNPM, npmTable}, true
	case "pypi":
		return kind{hosts("pypi.org files.pythonhosted.org upload.pypi.org"), classifyPyPI, pypiTable}, true
	case "goproxy":
		return kind{hosts("proxy.golang.org sum.golang.org"), classifyGoProxy, goProxyTable}, true
	}
	return kind{}, false
}

// hosts is a list of names parted by spaces.
type hosts string

const githubHosts hosts = "api.github.com github.com uploads.github.com raw.githubusercontent.com codeload.github.com"
