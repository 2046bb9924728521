//go:build amd64 || arm64

package warden

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scripts are what ordinary work does. Each runs with the warden and without,
// and must leave the same tree and say the same.
func scripts() map[string]string {
	return map[string]string{
		"redirections": `echo a > a; echo b >> a; echo c > /dev/null; echo d > /dev/stdout; echo e > /dev/stderr
			echo f >> /dev/fd/1; : > empty; cat < a > b; echo g > "$HOME/home"; (echo x > /dev/tty) 2> /dev/null; mkdir d; cd d; echo h > ../h; echo i > ./i`,
		"pipes":  `mkfifo p; (echo through > p &) ; cat p; (exec 3<>p; echo more >&3; head -n1 <&3)`,
		"tar":    `mkdir -p s/a/b; seq 100 > s/a/n; ln -s n s/a/l; ln s/a/n s/a/h; mkfifo s/a/p; chmod 600 s/a/n; tar cf t.tar s; mkdir o; tar xpf t.tar -C o; tar xf t.tar -C o; rm t.tar`,
		"modes":  `umask 027; echo a > a; mkdir b; mkfifo c; umask 0; echo d > d; mkdir e; umask 777; : > f; umask 022; (umask 400; : > g); install -d -m 710 i; install -m 640 a j`,
		"setgid": `mkdir g; chmod 2775 g; mkdir g/sub; : > g/file; ls -l g | cut -c1-10`,
		"copies": `mkdir -p a/b; echo 1 > a/b/1; ln -s b a/l; cp -a a c; cp -r c d; mv a/b/1 a/1; mv c d/; mv d/c/b e; cp -l a/1 hard; ln a/1 hard2; mv -f hard2 hard; mv -n hard e; ln -sf nowhere e/s; ln -sfn b e/s; rm -r d; mv a "$HOME/a"; mv "$HOME/a" back; cp -r "$HOME" h`,
		"saves":  `echo 1 > f; echo 2 > f.tmp; mv f.tmp f; cp f f~; sed -i s/2/3/ f; perl -i -pe 's/3/4/' f; cat f; ln -s f link; echo 5 > link; echo 6 > nowhere; ln -s made dangling; echo 7 > dangling; cat made`,
		"git": `git init -q r && cd r && git config user.email a@b && git config user.name n && echo 1 > f && git add f && git commit -qm one &&
			git checkout -qb x && echo 2 > f && git commit -qam two && git branch -m y && git tag t && cd .. && git clone -q r c && git clone -q --bare r bare &&
			cd c && git log --format=%s && git gc -q && git worktree add -q ../w origin/y 2>&1 && git -C ../r stash list && cd .. && rm -rf r/.git c/.git w/.git bare`,
		"python": `python3 - <<'E'
import os,tempfile,sqlite3,shutil
f=tempfile.NamedTemporaryFile(dir='.');f.write(b'x');f.flush()
t=tempfile.TemporaryFile(dir='.');t.write(b'x')
d=tempfile.mkdtemp(dir='.');os.rmdir(d)
fd=os.open('ro',os.O_CREAT|os.O_WRONLY,0o400);os.write(fd,b'y');os.close(fd)
fd=os.open('lock',os.O_CREAT|os.O_EXCL|os.O_RDWR,0o600);print(os.get_inheritable(fd));os.close(fd)
try: os.open('lock',os.O_CREAT|os.O_EXCL)
except FileExistsError as e: print(e)
for p in ('no/file','lock/file','lock/','.','..','','x'*300,'y/'*3000):
    try: os.close(os.open(p,os.O_CREAT|os.O_WRONLY))
    except OSError as e: print(e.errno)
    try: os.mkdir(p)
    except OSError as e: print(e.errno)
    try: os.rename('nothing',p)
    except OSError as e: print(e.errno)
    try: os.rename('lock',p)
    except OSError as e: print(e.errno)
os.replace('lock','lock2');os.makedirs('deep/er/est');os.rename('deep','deeper')
try: os.rename('deeper','deeper/er/in')
except OSError as e: print(e.errno)
c=sqlite3.connect('db');c.execute('pragma journal_mode=wal');c.execute('create table t(a)');c.execute('insert into t values(1)');c.commit();print(list(c.execute('select * from t')));c.close()
dfd=os.open('deeper',os.O_RDONLY);os.mkdir('m',dir_fd=dfd);os.close(os.open('n',os.O_CREAT,dir_fd=dfd));os.symlink('a','s',dir_fd=dfd);os.mkfifo('q',dir_fd=dfd);os.link('ro','l',dst_dir_fd=dfd)
os.chdir('deeper');os.rename('../ro','ro2');os.rmdir('m');shutil.copytree('.','../tree',symlinks=True,ignore=shutil.ignore_patterns('q'))
with open('/proc/self/cwd/byproc','w') as f: f.write('1')
import socket;s=socket.socket(socket.AF_UNIX);s.bind('sock');s.listen();print(s.getsockname());k=socket.socket(socket.AF_UNIX);k.connect('sock');k.close()
s2=socket.socket(socket.AF_UNIX);s2.bind('er/../sock2');s2.listen();k=socket.socket(socket.AF_UNIX);k.connect('sock2')
s5=socket.socket(socket.AF_UNIX);s5.bind('@at');s5.listen();print(s5.getsockname());k=socket.socket(socket.AF_UNIX);k.connect('./@at')
try: s2=socket.socket(socket.AF_UNIX);s2.bind('sock2')
except OSError as e: print(e.errno)
s3=socket.socket();s3.bind(('127.0.0.1',0));s4=socket.socket(socket.AF_UNIX);s4.bind('\0abstract%d'%os.getpid())
E`,
		"compilers": `printf 'int main(){return 0;}' > m.c; gcc -o m m.c && ./m && echo built; ar rc l.a m.c; rm m l.a`,
		"many":      `i=0; while [ $i -lt 20 ]; do mkdir -p node_modules/p$i/lib; j=0; while [ $j -lt 25 ]; do echo $i > node_modules/p$i/lib/$j.js; j=$((j+1)); done; i=$((i+1)); done; mv node_modules nm; find nm | wc -l; rm -r nm/p1`,
		"parallel":  `for i in 1 2 3 4; do (for j in 1 2 3 4 5 6; do mkdir -p d/$j; echo $i > d/$j/$i; mv d/$j/$i d/$j/m$i; done) & done; wait; find d | sort`,
	}
}

func TestOrdinaryWork(t *testing.T) {
	as(t, func(t *testing.T, who int) {
		for name, script := range scripts() {
			t.Run(name, func(t *testing.T) {
				if slices.Contains([]string{"git", "compilers", "many", "parallel"}, name) && who != users()[len(users())-1] {
					t.Skip("the heavy ones run for the ordinary user only")
				}
				compare(t, who, script)
			})
		}
	})
}

// compare runs a script with the warden and without.
func compare(t *testing.T, who int, script string) {
	t.Helper()
	var trees [2][]string
	var says [2]string
	for i, plain := range []bool{true, false} {
		root, free := ground(t, who)
		o := start(t, setup{Who: who, Tree: Tree{Root: root, Names: []string{".envrc", ".vscode"}, Paths: []string{".git/hooks"}},
			Free: free, Dir: root, Argv: []string{"/bin/bash", "-c", environment + script}, Plain: plain})
		if o.Code != 0 {
			t.Errorf("plain %v: exit %d:\n%s", plain, o.Code, o.Out)
		}
		if o.Refused != 0 {
			t.Errorf("%d refused: %q", o.Refused, o.Denied)
		}
		trees[i], says[i] = list(t, root), o.Out
	}
	if d := cmp.Diff(says[0], says[1]); d != "" {
		t.Errorf("says something else with the warden:\n%s", d)
	}
	if d := cmp.Diff(trees[0], trees[1]); d != "" {
		t.Errorf("makes something else with the warden:\n%s", d)
	}
}

const environment = `export PATH=/usr/bin:/bin GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_DATE=2001-01-01T00:00:00Z GIT_COMMITTER_DATE=2001-01-01T00:00:00Z LC_ALL=C; `

func TestGoBuild(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	who := users()[len(users())-1]
	root, free := ground(t, who)
	plant(t, who, root, "go.mod", "p.go")
	must(t, os.WriteFile(root+"/go.mod", []byte("module p\ngo 1.20\n"), 0o644))
	must(t, os.WriteFile(root+"/p.go", []byte("package p\nfunc F() int { return 1 }\n"), 0o644))
	o := start(t, setup{Who: who, Tree: Tree{Root: root, Names: []string{".envrc"}}, Free: free, Dir: root,
		Argv: []string{"/bin/sh", "-c", "export GOCACHE=$PWD/cache GOTOOLCHAIN=local GOFLAGS=-mod=mod CGO_ENABLED=0; " + goTool + " build -o p.a ."}})
	if st, err := os.Stat(root + "/p.a"); o.Code != 0 || o.Refused != 0 || err != nil || st.Size() == 0 {
		t.Errorf("exit %d, %d refused, %v:\n%s", o.Code, o.Refused, err, o.Out)
	}
}
