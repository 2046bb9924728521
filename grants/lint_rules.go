package grants

// LintRule is one thing that lint looks for.
type LintRule struct {
	ID       string
	Severity Severity
	Summary  string // what it finds, for the reference
}

// LintRules lists all that [Lint] looks for, the worst first.
func LintRules() []LintRule {
	const e, w = SeverityError, SeverityWarning
	return []LintRule{
		{"way-out", e, "untrusted reading, private data and a way out without a question, in one agent"},
		{"credential-read", e, "a file or variable with a secret that the agent can read"},
		{"steers-agent", e, "writing what steers the agent: its grants, instructions, settings of its tools, Ambit's state"},
		{"runs-outside", e, "writing what runs outside the sandbox: git hooks, CI, build files, editor tasks, shell start-up"},
		{"on-path", e, "writing where programs are found and run outside the sandbox"},
		{"outside-workspace", e, "writing anywhere else outside the workspace"},
		{"without-asking", e, "an irreversible operation that nobody is asked about"},
		{"escalates", e, "an operation that gives away more access, without a question"},
		{"cannot-enforce", e, "a clause that this machine cannot enforce"},
		{"slow-way-out", w, "untrusted reading, private data, and addresses into which data can be written while reading"},
		{"build-files", w, "the whole workspace is writable, with the files that a build outside the sandbox runs"},
		{"pushes-build", w, "pushing without a question what a build service may run with its own secrets"},
		{"wildcard-host", w, "hosts by wildcard"},
		{"open-host", w, "a host where anybody can post"},
		{"whole-host", w, "writing everywhere on a host"},
		{"tenant-wide", w, "all that an owner has, by wildcard"},
		{"unbounded", w, "writing or deleting without at-most"},
		{"plain-database", w, "a database that is reached over the network without TLS"},
		{"unseen-tcp", w, "a plain connection: what flows over it is not seen, and whether it is encrypted is not known"},
		{"long-life", w, "a task that lives longer than 8 hours"},
		{"never-matches", w, "a line or a pattern that changes nothing"},
		{"unused-service", w, "a service that no line names"},
		{"unused-accept", w, "a lint-accept for something that is not found"},
	}
}

func lintRule(id string) (LintRule, bool) {
	for _, r := range LintRules() {
		if r.ID == id {
			return r, true
		}
	}
	return LintRule{}, false
}

func lintRuleIDs() (out []string) {
	for _, r := range LintRules() {
		out = append(out, r.ID)
	}
	return out
}
