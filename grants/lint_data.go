package grants

import "strings"

// programFolders are where programs are found outside, beside the folders of
// the machine's own PATH.
func programFolders() []string {
	return []string{"/bin", "/sbin", "/usr", "/usr/local", "/opt/homebrew", "/snap/bin", "~/bin", "~/.local/bin", "~/go/bin", "~/.cargo/bin", "~/.npm-global"}
}

// systemFolders hold nothing private: programs and what belongs to them.
func systemFolders() []string {
	return []string{"/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ssl", "/etc/ca-certificates"}
}

// buildFiles are run, or say what is run, when somebody builds or tests.
func buildFiles() []string {
	return []string{
		"Makefile", "package.json", "setup.py", "GNUmakefile", "makefile", "justfile", "Taskfile.yml", "Rakefile", "CMakeLists.txt", "meson.build",
		"pyproject.toml", "setup.cfg", "conftest.py", "noxfile.py", "tox.ini", "build.rs", "Cargo.toml", "build.gradle", "build.gradle.kts",
		"settings.gradle", "gradlew", "pom.xml", "mvnw", "build.xml", "BUILD.bazel", "WORKSPACE", "Dockerfile", "docker-compose.yml", "compose.yaml",
		"Vagrantfile", "Gemfile", "webpack.config.js", "vite.config.js", "vite.config.ts", "gulpfile.js", "Gruntfile.js", "configure", "flake.nix",
	}
}

// modelKind says whether a kind is the agent's own model: it sees all that the agent sees anyway.
func modelKind(kind string) bool { return kind == "anthropic" || kind == "openai" }

// openHosts are where anybody can put what others read, or collect what others
// send; also for the hosts below them.
func openHosts() []string {
	return []string{
		"gist.github.com", "gist.githubusercontent.com", "raw.githubusercontent.com", "objects.githubusercontent.com", "github.io", "gitlab.io",
		"pastebin.com", "paste.ee", "hastebin.com", "dpaste.com", "dpaste.org", "ix.io", "0x0.st", "termbin.com", "rentry.co", "justpaste.it",
		"webhook.site", "requestbin.com", "pipedream.net", "requestcatcher.com", "beeceptor.com", "hookbin.com", "interact.sh", "oast.pro",
		"oast.live", "oast.fun", "oast.me", "burpcollaborator.net", "dnslog.cn", "canarytokens.com", "ngrok.io", "ngrok.app", "ngrok-free.app",
		"trycloudflare.com", "loca.lt", "localhost.run", "serveo.net", "transfer.sh", "file.io", "gofile.io", "catbox.moe", "tmpfiles.org", "anonfiles.com",
		"docs.google.com", "forms.gle", "drive.google.com", "script.google.com", "storage.googleapis.com", "firebaseio.com", "web.app", "firebaseapp.com",
		"appspot.com", "run.app", "s3.amazonaws.com", "amazonaws.com", "cloudfront.net", "blob.core.windows.net", "azurewebsites.net", "r2.dev",
		"pages.dev", "workers.dev", "vercel.app", "netlify.app", "herokuapp.com", "onrender.com", "fly.dev", "surge.sh", "glitch.me", "repl.co",
		"replit.app", "codesandbox.io", "stackblitz.io", "hooks.slack.com", "discord.com", "discordapp.com", "api.telegram.org", "t.me",
		"typeform.com", "formspree.io", "airtable.com", "notion.site", "trello.com", "dropbox.com", "dropboxusercontent.com", "ipfs.io",
		"cdn.jsdelivr.net", "unpkg.com", "huggingface.co", "medium.com", "blogspot.com", "wordpress.com", "reddit.com", "stackoverflow.com",
	}
}

// openHost returns the entry that a host, or a wildcard for hosts, falls under.
func openHost(host string) string {
	host = strings.TrimPrefix(host, "*.")
	for _, o := range openHosts() {
		if host == o || strings.HasSuffix(host, "."+o) {
			return o
		}
	}
	return ""
}

// escalation says whether an operation's name has a word for giving somebody, or
// the agent itself, more access than before.
func escalation(op string) bool {
	for word := range strings.SplitSeq(op, ".") {
		switch word {
		case "collaborators", "grant", "keys", "hooks", "secrets", "secret", "runners", "rulesets", "protect", "unprotect", "environments", "organization", "token", "transfer":
			return true
		}
	}
	return op == "github.actions.approve"
}
