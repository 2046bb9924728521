package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The agent's own programs work.
func TestPrograms(t *testing.T) {
	ws := workspace(t, "file")
	s := base(t)
	s.Files, s.Protect, s.Dir = []File{{Path: ws, Access: Writable}}, protect(), ws
	s.Env = append(s.Env, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "NO_UPDATE_NOTIFIER=1")
	for _, p := range []struct{ program, script, want string }{
		{"sh", `x=$(echo a | tr a b); echo $x > f; cat f; test -d /tmp && echo $((6*7)); date -u +%Z; echo err >/dev/stderr`, "b\n42\nUTC\nerr\n"},
		{"git", `git clone -q . ../x 2>/dev/null; git init -q r 2>&1 && echo made`, ""},
		{"python3", `/usr/bin/python3 -c 'import os,tempfile,subprocess,threading,multiprocessing,socket,ssl
f=tempfile.NamedTemporaryFile(); t=threading.Thread(target=lambda: None); t.start(); t.join()
q=multiprocessing.Queue(); p=multiprocessing.Process(target=q.put, args=(5,)); p.start(); print(q.get()); p.join()
print(subprocess.run(["echo","sub"],capture_output=True).stdout.decode().strip(), os.path.expanduser("~"), os.getlogin if 0 else "ok")'`, "5\nsub /home/agent ok\n"},
		{"node", `node -e 'const fs=require("fs"),cp=require("child_process"),os=require("os"),{Worker}=require("worker_threads");
fs.writeFileSync("n","1"); fs.mkdirSync("nd/e",{recursive:true}); fs.renameSync("n","nd/n"); console.log(cp.execSync("echo sub").toString().trim(), os.cpus().length>0, os.homedir(), os.userInfo().username);
const s=require("http").createServer((q,r)=>r.end("served")).listen(8123,()=>fetch("http://127.0.0.1:8123/").then(r=>r.text()).then(x=>{console.log(x);s.close()}))'`,
			"sub true /home/agent agent\nserved\n"},
		{"npm", `npm --version >/dev/null && echo npm`, "npm\n"},
		{"gcc", `printf '#include <stdio.h>\nint main(void){puts("compiled");return 0;}' > c.c && gcc -O1 -o c c.c && ./c`, "compiled\n"},
		{"java", `java -version >/dev/null 2>&1 && echo java`, "java\n"},
	} {
		t.Run(p.program, func(t *testing.T) {
			path, err := exec.LookPath(p.program)
			if err != nil || strings.HasPrefix(path, "/root") && p.program != "python3" {
				t.Skip(p.program + " is not installed for everybody")
			}
			e := sh(t, s, p.script)
			if e.status.Code != 0 || p.want != "" && e.out != p.want {
				t.Errorf("status %d, printed %q, want %q", e.status.Code, e.out, p.want)
			}
		})
	}
}

func TestGitInAWorkspaceWithProtectedParts(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	ws := t.TempDir()
	git := exec.Command("git", "init", "-q", "-b", "main", ws)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	s := base(t)
	s.Files, s.Protect, s.Dir = []File{{Path: ws, Access: Writable}}, protect(), ws
	s.Env = append(s.Env, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	e := sh(t, s, `set -e; echo 1 > a; git add a; git commit -qm one; git checkout -qb side; mkdir d; echo 2 > d/b; git add .; git commit -qm two; git mv a c; git commit -qm three
		git checkout -q main; git merge -q side; git stash list; git gc -q; git log --oneline | wc -l; git status --short; git rev-parse HEAD > /dev/null`)
	if e.status.Code != 0 || e.out != "3\n" {
		t.Errorf("status %d, printed %q", e.status.Code, e.out)
	}
	if e := sh(t, s, "git config core.hooksPath /tmp; git config user.name x; echo x > .git/hooks/pre-commit; chmod +x .git/hooks/*"); e.status.Code == 0 {
		t.Errorf("git's settings could be changed: %q", e.out)
	}
}

func TestGoBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Go's standard library when there is no cache of it")
	}
	goroot, err := exec.Command("go", "env", "GOROOT", "GOCACHE").Output()
	if err != nil {
		t.Skip("go is not installed")
	}
	root, cache, _ := strings.Cut(strings.TrimSpace(string(goroot)), "\n")
	ws := workspace(t, "file")
	must(t, os.WriteFile(filepath.Join(ws, "go.mod"), []byte("module x\ngo 1.21\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(ws, "main.go"), []byte("package main\nfunc main() { println(\"built\") }\n"), 0o644))
	s := base(t)
	s.Files, s.Protect, s.Dir = []File{{Path: ws, Access: Writable}}, protect(), ws
	if !strings.HasPrefix(root, "/usr/") {
		s.Files = append(s.Files, File{Path: root, Access: ReadOnly})
	}
	s.Env = []string{"PATH=" + root + "/bin:/usr/bin:/bin", "HOME=/home/agent", "GOTOOLCHAIN=local", "CGO_ENABLED=0"}
	// The person's cache, of which the task gets a copy that is thrown away.
	if st, err := os.Stat(cache); err == nil && st.IsDir() {
		s.Files = append(s.Files, File{Path: cache, At: "/home/agent/.cache/go-build", Access: CopyOnWrite})
	}
	if e := sh(t, s, "go build -o prog . && ./prog"); e.status.Code != 0 || e.out != "built\n" {
		t.Errorf("status %d, printed %q", e.status.Code, e.out)
	}
}

func TestSelf(t *testing.T) {
	e := sh(t, base(t), "ls -l "+inSelf+" | cut -c1-10; echo x > "+inSelf+"; mv "+inSelf+" /tmp/x; rm "+inSelf+"; "+roleEnv+"=attack bash -c 'exec -a \"ambit: sandbox init\" "+inSelf+" environ' | grep -c ROLE")
	if !strings.HasPrefix(e.out, "-r") || !strings.HasSuffix(e.out, "1\n") {
		t.Errorf("%q", e.out)
	}
}

func TestStandardFilesCanBeOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	must(t, err)
	defer out.Close()
	in, err := os.Open(filepath.Join(workspace(t, "in"), "in"))
	must(t, err)
	defer in.Close()
	s := base(t)
	s.Argv, s.Stdin, s.Stdout = []string{"/bin/sh", "-c", "cat /dev/stdin; cat < /proc/self/fd/0; echo again >> /dev/stdout"}, in, out
	box, err := Start(t.Context(), s)
	must(t, err)
	must(t, box.Go())
	_, err = box.Wait()
	must(t, err)
	if b, _ := os.ReadFile(out.Name()); !strings.Contains(string(b), "original in\n") || !strings.Contains(string(b), "again\n") {
		t.Errorf("%q", b)
	}
}
