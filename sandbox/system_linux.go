package sandbox

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
	"ambit/sandbox/stage"
)

// systemDirs hold the system's programs and libraries. Each is shown read-only
// when it is a directory and copied when it is a symbolic link.
var systemDirs = [...]string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store"}

// etcEntries are what programs need of /etc and what holds no secret. There is
// no shadow, no ssh, no sudoers, no host keys, no machine-id.
var etcEntries = [...]string{
	"alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version", "fonts", "gai.conf", "host.conf", "inputrc",
	"java", "java-8-openjdk", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "java-25-openjdk", "jvm", "ld.so.cache", "ld.so.conf", "localtime",
	"locale.alias", "locale.conf", "lsb-release", "magic", "maven", "mime.types", "os-release", "pki/ca-trust", "pki/java", "pki/nssdb", "pki/tls/certs",
	"pki/tls/cert.pem", "pki/tls/openssl.cnf", "profile", "profile.d", "protocols", "python3.11", "python3.12", "python3.13", "redhat-release",
	"services", "shells", "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "static", "timezone", "xdg",
}

func (b *builder) systemTree() {
	for _, d := range systemDirs {
		b.show(d, rightsRead)
	}
	for _, name := range etcEntries {
		b.showEtc("/etc/" + name)
	}
	b.rule("/etc", rightsRead)
	for _, d := range [...]string{"/run/ambit", "/sys"} {
		b.step(plan.Step{Op: plan.Dir, Target: d, Flags: 0o755})
	}
	b.step(plan.Step{Op: plan.Symlink, Target: "/var/run", Source: "/run"})
	b.step(plan.Step{Op: plan.Symlink, Target: "/var/tmp", Source: "/tmp"})
	b.step(plan.Step{Op: plan.Symlink, Target: "/etc/mtab", Source: "/proc/self/mounts"})
	b.rule("/run/ambit", kernel.LLReadFile|kernel.LLReadDir)
}

// show makes a host path visible as it is, when it exists.
func (b *builder) show(path string, rights uint64) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return
	}
	data := ""
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		if to, err := os.Readlink(path); err == nil {
			b.step(plan.Step{Op: plan.Symlink, Target: path, Source: to})
		}
		return
	case unix.S_IFDIR:
		data = plan.Directory
	}
	b.step(plan.Step{Op: plan.Bind, Source: path, Target: path, Data: data, Flags: quiet | kernel.AttrReadOnly})
	b.bound = append(b.bound, path)
	if rights != 0 {
		b.rule(path, rights)
	}
}

// showEtc has a small file of /etc copied, for a mount costs more to make and to take
// down, and shows everything else as it is.
func (b *builder) showEtc(path string) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size <= plan.MaxCopied && unix.Access(path, unix.R_OK) == nil {
		b.copied[path] = true
		return
	}
	b.show(path, 0)
}

// devices makes a /dev that holds no device of the host but the harmless ones.
func (b *builder) devices() {
	for _, name := range [...]string{"null", "zero", "full", "random", "urandom", "tty"} {
		b.step(plan.Step{Op: plan.Bind, Source: "/dev/" + name, Target: "/dev/" + name, Flags: kernel.AttrNoSuid | kernel.AttrNoExec})
	}
	b.step(plan.Step{Op: plan.Pts, Target: "/dev/pts"})
	for _, l := range [...][2]string{{"/dev/ptmx", "pts/ptmx"}, {"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"},
		{"/dev/stdout", "/proc/self/fd/1"}, {"/dev/stderr", "/proc/self/fd/2"}} {
		b.step(plan.Step{Op: plan.Symlink, Target: l[0], Source: l[1]})
	}
	b.rule("/dev", rightsDev)
}

// hiddenProc are entries of /proc that tell of the host, its kernel or other
// tasks. Those of rootProc are closed by their mode to everybody but the host's
// root, to whom they belong, and so to the agent of a sandbox that root started.
var (
	hiddenProc = [...]string{"acpi", "bus", "interrupts", "kallsyms", "key-users", "keys", "latency_stats", "sched_debug", "scsi"}
	rootProc   = [...]string{"iomem", "ioports", "kcore", "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "pagetypeinfo", "slabinfo", "sysrq-trigger", "timer_list", "vmallocinfo"}
)

// processes makes a /proc of the sandbox's own PID namespace, read-only.
func (b *builder) processes() {
	b.step(plan.Step{Op: plan.Proc, Target: "/proc"})
	hidden := hiddenProc[:]
	if os.Geteuid() == 0 {
		hidden = slices.Concat(hidden, rootProc[:])
	}
	for _, name := range hidden {
		b.step(plan.Step{Op: plan.Mask, Target: "/proc/" + name})
	}
	b.rule("/proc", kernel.LLReadFile|kernel.LLReadDir)
}

func (b *builder) temporary() {
	size := b.spec.Limits.Temporary
	for _, t := range [...]string{"/tmp", "/dev/shm"} {
		b.step(plan.Step{Op: plan.Tmpfs, Target: t, Flags: quiet, Source: fmt.Sprintf("mode=1777,size=%d,nr_inodes=1000000", size)})
		b.rule(t, rightsWrite)
	}
}

// identityFiles are the small files that say who the agent is.
func (b *builder) identityFiles() map[string][]byte {
	uid, gid := stage.Inner()
	return map[string][]byte{
		"/etc/passwd":        fmt.Appendf(nil, "agent:x:%d:%d:agent:%s:%s\nnobody:x:65534:65534:nobody:/:/bin/false\n", uid, gid, b.home(), shell()),
		"/etc/group":         fmt.Appendf(nil, "agent:x:%d:\nnogroup:x:65534:\n", gid),
		"/etc/hosts":         fmt.Appendf(nil, "127.0.0.1 localhost %s\n::1 localhost\n", b.plan.Hostname),
		"/etc/hostname":      []byte(b.plan.Hostname + "\n"),
		"/etc/nsswitch.conf": []byte("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\nethers: files\nrpc: files\n"),
		"/etc/resolv.conf":   []byte("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n"),
	}
}

func shell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// data makes the small files.
func (b *builder) data() error {
	files := b.identityFiles()
	maps.Copy(files, b.spec.Data)
	for _, path := range slices.Sorted(maps.Keys(b.copied)) {
		if _, ok := files[path]; !ok {
			b.file(plan.Step{Target: path, Source: path})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
			return fmt.Errorf("cannot make the file %q inside: it is not a clean absolute path", path)
		}
		b.file(plan.Step{Target: path, Data: string(files[path])})
	}
	return nil
}

// file makes one small file.
func (b *builder) file(s plan.Step) {
	s.Op, s.Flags = plan.File, 0o444
	// Below a directory of the host the file stands in for one that exists: find
	// that one, which is often behind symbolic links.
	if b.shown(s.Target) {
		if real, err := filepath.EvalSymlinks(s.Target); err == nil && b.shown(real) {
			s.Target = real
		}
	}
	b.step(s)
	if !inside(s.Target, "/etc") { // which may be read as a whole
		b.rule(s.Target, kernel.LLReadFile)
	}
}

func (b *builder) shown(path string) bool {
	return slices.ContainsFunc(b.bound, func(d string) bool { return inside(path, d) })
}

// self shows the running program inside.
func (b *builder) self() error {
	if b.spec.Self == "" {
		return nil
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("cannot find this program's file: %w", err)
	}
	var here, there unix.Stat_t
	if unix.Stat("/proc/self/exe", &here) != nil || unix.Stat(exe, &there) != nil || here.Ino != there.Ino || here.Dev != there.Dev {
		return fmt.Errorf("cannot show this program inside the sandbox: %s was replaced while it ran; start again", strings.TrimSuffix(exe, " (deleted)"))
	}
	g, err := look(File{Path: exe, At: b.spec.Self, Access: ReadOnly})
	if err != nil {
		return err
	}
	b.mount(&g, quiet|kernel.AttrReadOnly)
	b.rule(g.at, kernel.LLReadFile|kernel.LLExecute)
	return nil
}

func system() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOOS + " " + runtime.GOARCH
	}
	release, _, _ := bytes.Cut(u.Release[:], []byte{0})
	return "linux " + string(release) + " " + runtime.GOARCH
}
