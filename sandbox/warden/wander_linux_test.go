//go:build amd64 || arm64

package warden

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A wanderer makes, moves, links and removes at random, with few names, so that
// they meet. Whatever it tries, none of these may come of it.
func wanderTree(root string) Tree {
	return Tree{Root: root, Names: []string{".vscode", ".github/workflows", ".github/agents", ".local/share/keys"}}
}

// broken walks a tree as a program would that looks for protected names, links
// followed as long as they stay inside, and returns the paths by which it finds
// one. It knows nothing of how the warden works.
func broken(root string) (found []string) {
	chains := []string{"/.vscode/", "/.github/workflows/", "/.github/agents/", "/.local/share/keys/"}
	root, _ = filepath.Abs(root)
	var walk func(rel string, names, links int)
	walk = func(rel string, names, links int) {
		list, _ := os.ReadDir(filepath.Join(root, rel))
		for _, e := range list {
			at := rel + "/" + strings.TrimRight(strings.ToLower(e.Name()), ". ")
			if slices.ContainsFunc(chains, func(c string) bool { return strings.HasSuffix(at+"/", c) }) {
				found = append(found, rel+"/"+e.Name())
				continue
			}
			n := links
			if e.Type()&os.ModeSymlink != 0 {
				n++
				if real, err := filepath.EvalSymlinks(root + rel + "/" + e.Name()); err != nil || !strings.HasPrefix(real+"/", root+"/") {
					continue
				}
			}
			if names < 7 && n <= 2 {
				walk(rel+"/"+e.Name(), names+1, n)
			}
		}
	}
	walk("", 0, 0)
	return found
}

type wanderer struct {
	*rand.Rand
	made map[string]int
}

func newWanderer(seed uint64) *wanderer {
	return &wanderer{rand.New(rand.NewPCG(seed, 7)), map[string]int{}}
}

func (w *wanderer) pick(from ...string) string { return from[w.IntN(len(from))] }

// name is one of few, most of them parts of what is protected.
func (w *wanderer) name() string {
	return w.pick("a", "b", "a", "b", ".github", ".github", "workflows", "workflows", ".GitHub", "Workflows.", "agents", ".local", "share", "keys", ".vscode")
}

// there is a random path that exists; "" is the tree itself.
func (w *wanderer) there() string {
	at := ""
	for range w.IntN(5) {
		list, _ := os.ReadDir("./" + at)
		if len(list) == 0 {
			break
		}
		at += list[w.IntN(len(list))].Name() + "/"
	}
	return strings.TrimSuffix(at, "/")
}

// path is a random one, by one of its spellings.
func (w *wanderer) path() string {
	p := w.there()
	if w.IntN(3) > 0 {
		p = strings.TrimPrefix(p+"/"+w.name(), "/")
	}
	return w.pick("", "", "./", "a/../", "/proc/self/cwd/") + p
}

// step makes one call.
func (w *wanderer) step() {
	kind, from, to := w.pick("move", "move", "move", "exchange", "exchange", "noreplace", "link", "follow", "fd", "symlink", "mkdir", "mkdir", "mkdir", "mkdir", "mkdir",
		"file", "unlink", "rmdir", "at", "text", "socket", "dangling"), w.path(), w.path()
	var err error
	switch kind {
	case "rmdir":
		err = unix.Rmdir(from)
	case "at":
		err = makeAt(from, w.name())
	case "text":
		err = unix.Symlinkat(w.pick("..", ".", "a", "../a", "../../b", ".github", "../workflows"), unix.AT_FDCWD, to)
	case "socket":
		err = bindTo(to)
	case "dangling": // a link to nowhere, and a file made through it
		if err = unix.Symlinkat(to, unix.AT_FDCWD, "dangling"); err == nil {
			err = opener(unix.O_CREAT | unix.O_WRONLY)("dangling")
			_ = unix.Unlink("dangling")
		}
	default:
		err = move(kind, from, to)
	}
	if err == nil {
		w.made[kind]++
	}
}

// makeAt makes a name from a directory's descriptor.
func makeAt(dir, name string) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Mkdirat(fd, name, 0o755)
}

// tidy takes everything away from time to time, so that names stay free.
func (w *wanderer) tidy() {
	list, _ := os.ReadDir(".")
	for _, e := range list {
		_ = os.RemoveAll(e.Name())
	}
}

// attackWander makes calls one after the other, and looks after each of them.
func attackWander(args []string) error {
	seed, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	w := newWanderer(seed)
	for i := range 4000 {
		w.step()
		if i%3 == 0 {
			if found := broken("."); len(found) > 0 {
				fmt.Printf("broken at step %d: %q\n", i, found)
				return nil
			}
		}
		if i%80 == 79 {
			w.tidy()
		}
	}
	fmt.Println(w.made)
	return nil
}

// attackCrowd makes such calls from several threads at the same time.
func attackCrowd([]string) error {
	var all sync.WaitGroup
	end := time.Now().Add(raceTime)
	for n := range 6 {
		all.Go(func() {
			w := newWanderer(uint64(time.Now().UnixNano()) + uint64(n))
			for i := 0; time.Now().Before(end); i++ {
				w.step()
				if n == 0 && i%200 == 199 {
					w.tidy()
				}
			}
		})
	}
	all.Wait()
	return nil
}

func TestWanderers(t *testing.T) {
	as(t, func(t *testing.T, who int) {
		for seed := range 4 {
			root, free := ground(t, who)
			o := run(t, who, wanderTree(root), free, "wander", strconv.Itoa(seed))
			if found := broken(root); o.Code != 0 || o.Refused < 50 || strings.Contains(o.Out, "broken") || len(found) > 0 {
				t.Errorf("seed %d: exit %d, %d refused, found %q:\n%s", seed, o.Code, o.Refused, found, o.Out)
			}
			for _, kind := range []string{"move", "exchange", "link", "symlink", "mkdir", "file", "at", "text", "dangling"} {
				if !strings.Contains(o.Out, " "+kind+":") && !strings.Contains(o.Out, "["+kind+":") {
					t.Errorf("seed %d: no %s has worked: %s", seed, kind, o.Out)
				}
			}
			t.Logf("seed %d, %d refused: %s", seed, o.Refused, o.Out)
		}
	})
}

// Without the warden the same steps do break it: the walk sees what it should.
func TestWanderersAlone(t *testing.T) {
	who := users()[len(users())-1]
	for seed := range 4 {
		root, free := ground(t, who)
		o := start(t, setup{Who: who, Tree: wanderTree(root), Free: free, Dir: root,
			Argv: []string{"/proc/self/exe", "wander", strconv.Itoa(seed)}, Plain: true})
		if o.Code != 0 || !strings.Contains(o.Out, "broken at step") {
			t.Errorf("seed %d: exit %d: %s", seed, o.Code, o.Out)
		}
	}
}

func TestCrowd(t *testing.T) {
	as(t, func(t *testing.T, who int) {
		root, free := ground(t, who)
		stop := watch(root, func(rel string) bool {
			rel = "/" + strings.ToLower(rel) + "/"
			return strings.Contains(rel, "/.vscode/") || strings.Contains(rel, "/.github/workflows") || strings.Contains(rel, "/.github/agents/") ||
				strings.Contains(rel, "/.local/share/keys/")
		})
		o := run(t, who, wanderTree(root), free, "crowd")
		seen, found := stop(), broken(root)
		if o.Code != 0 || o.Refused < 50 || len(seen) > 0 || len(found) > 0 {
			t.Errorf("exit %d, %d refused, seen %q, found %q: %s", o.Code, o.Refused, seen, found, o.Out)
		}
	})
}
