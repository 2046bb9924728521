package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
)

// Doctor looks at the machine and says of each thing that the walls need what was
// found and what to do. It builds real walls to see whether they stand; nothing is
// left behind.
func Doctor() []Finding {
	out := []Finding{kernelVersion(), landlockVersion(), seccompActions()}
	if f := procSwitch("user namespaces allowed", "/proc/sys/kernel/unprivileged_userns_clone", "0",
		"sudo sysctl -w kernel.unprivileged_userns_clone=1; and in /etc/sysctl.d/60-ambit.conf: kernel.unprivileged_userns_clone=1"); f != nil {
		out = append(out, *f)
	}
	if f := procSwitch("user namespaces left", "/proc/sys/user/max_user_namespaces", "0",
		"sudo sysctl -w user.max_user_namespaces=15000; and in /etc/sysctl.d/60-ambit.conf: user.max_user_namespaces=15000"); f != nil {
		out = append(out, *f)
	}
	if f := appArmor(); f != nil {
		out = append(out, *f)
	}
	return append(out, probes()...)
}

func kernelVersion() Finding {
	f := Finding{Name: "kernel", Needed: true, Found: system()}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		f.Found = err.Error()
		return f
	}
	var major, minor int
	_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor) // 0.0 is too old
	f.OK = major > 5 || major == 5 && minor >= 19
	if !f.OK {
		f.Remedy = "use Linux 5.19 or later"
	}
	return f
}

func landlockVersion() Finding {
	abi := kernel.LandlockABI()
	f := Finding{Name: "landlock", Needed: true, OK: abi >= minABI, Found: "version " + strconv.Itoa(abi)}
	if abi == 0 {
		f.Found = "none"
		f.Remedy = "build the kernel with CONFIG_SECURITY_LANDLOCK=y and put landlock first in the boot parameter: lsm=landlock,… (the present list is in /sys/kernel/security/lsm)"
	} else if !f.OK {
		f.Remedy = "use Linux 5.19 or later"
	}
	return f
}

func seccompActions() Finding {
	f := Finding{Name: "seccomp", Needed: true}
	b, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	f.Found = strings.TrimSpace(string(b))
	f.OK = err == nil && strings.Contains(f.Found, "user_notif") && strings.Contains(f.Found, "kill_process")
	if !f.OK {
		f.Remedy = "build the kernel with CONFIG_SECCOMP_FILTER=y"
	}
	return f
}

// procSwitch reports a switch of /proc that exists.
func procSwitch(name, file, off, remedy string) *Finding {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	f := &Finding{Name: name, Needed: true, Found: strings.TrimSpace(string(b))}
	f.OK = f.Found != off || os.Geteuid() == 0 && strings.Contains(file, "unprivileged")
	if !f.OK {
		f.Remedy = remedy
	}
	return f
}

// appArmor reports Ubuntu's restriction of user namespaces, where it is known.
func appArmor() *Finding {
	f := procSwitch("AppArmor and user namespaces", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "")
	if f == nil || f.OK {
		return f
	}
	if os.Geteuid() == 0 {
		f.OK = true
		return f
	}
	if b, err := os.ReadFile("/proc/self/attr/current"); err == nil && strings.HasPrefix(string(b), profileName) {
		f.OK = true
		f.Found += ", lifted by the profile " + profileName
		return f
	}
	exe, err := os.Executable()
	if err != nil {
		exe = "/usr/local/bin/ambit"
	}
	f.Remedy = "let this program make user namespaces, once, with:\n" + ProfileCommands(exe)
	return f
}

const profileName = "ambit"

// ProfileCommands returns the shell commands that install the AppArmor profile
// for a program file.
func ProfileCommands(exe string) string {
	return "sudo tee /etc/apparmor.d/" + profileName + " >/dev/null <<'END'\n" + Profile(exe) + "END\nsudo apparmor_parser -r /etc/apparmor.d/" + profileName + "\n"
}

// Profile returns the AppArmor profile (version 4) that lets a program file make
// user namespaces and changes nothing else.
func Profile(exe string) string {
	return "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile " + profileName + " " + strconv.Quote(exe) +
		" flags=(unconfined) {\n  userns,\n\n  include if exists <local/" + profileName + ">\n}\n"
}

// probes builds walls with each thing that a machine may lack.
func probes() []Finding {
	dir, err := os.MkdirTemp("", "ambit-doctor-")
	if err != nil {
		return []Finding{{Name: "walls", Needed: true, Found: "no temporary directory: " + err.Error(), Remedy: "set TMPDIR to a directory that can be written"}}
	}
	defer func() { _ = Clean(dir) }()
	report, err := probe(filepath.Join(dir, "plain"), nil)
	walls := Finding{Name: "walls", OK: err == nil, Needed: true, Found: "they stand"}
	if err != nil {
		walls.Found = err.Error()
		walls.Remedy = "see what is missing above; inside a container, start it with user namespaces, its own /proc unmasked and seccomp allowing mounts, or run Ambit outside it"
		return []Finding{walls}
	}
	out := []Finding{walls}
	for _, w := range report.Walls {
		if w.Name == "memory" || w.Name == "processes" {
			f := Finding{Name: w.Name + " limit", OK: w.Enforced, Found: w.How}
			if !w.Enforced {
				f.Remedy = "run with a delegated control group: systemd-run --user --scope -p Delegate=yes ambit run …"
			}
			out = append(out, f)
		}
	}
	return append(out, copyOnWrite(dir))
}

func copyOnWrite(dir string) Finding {
	f := Finding{Name: "copy-on-write directories", OK: true, Found: "overlayfs in a user namespace"}
	lower := filepath.Join(dir, "lower")
	err := os.Mkdir(lower, 0o700)
	if err == nil {
		_, err = probe(filepath.Join(dir, "overlay"), []File{{Path: lower, At: "/mnt/probe", Access: CopyOnWrite}})
	}
	if err != nil {
		f.OK, f.Found = false, err.Error()
		f.Remedy = "load the overlay module (sudo modprobe overlay), and keep Ambit's state on a file system with extended attributes, such as ext4, xfs or btrfs"
	}
	return f
}

func probe(scratch string, files []File) (Report, error) {
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	spec := Spec{Argv: []string{"true"}, Scratch: scratch, Files: files}
	s, err := start(ctx, spec, true)
	if err != nil {
		return Report{}, err
	}
	defer s.Wait()
	return s.Report(), s.Kill()
}
