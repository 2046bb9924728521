package sandbox

import (
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
)

// Actions of a filter: seccomp(2).
const (
	actAllow = unix.SECCOMP_RET_ALLOW
	actKill  = unix.SECCOMP_RET_KILL_PROCESS
	actEPERM = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	actENOSY = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	actAFNO  = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
	actPROTO = unix.SECCOMP_RET_ERRNO | uint32(unix.EPROTONOSUPPORT)

	opLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opJump  = unix.BPF_JMP | unix.BPF_JA
	opEq    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opGE    = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opSet   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	opAnd   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opRet   = unix.BPF_RET | unix.BPF_K
	offNr   = 0
	offArch = 4
)

type code = []kernel.Instruction

func ret(action uint32) kernel.Instruction { return kernel.Instruction{Code: opRet, K: action} }

// arg loads the low half of a system call's argument; on little-endian machines
// it comes first. What the kernel takes as an int is decided by that half.
func arg(n int) kernel.Instruction {
	return kernel.Instruction{Code: opLoad, K: uint32(16 + 8*n)}
}

// oneOf goes on when the loaded word is one of the values, and returns otherwise.
func oneOf(otherwise uint32, values ...uint32) code {
	var c code
	for i, v := range values {
		c = append(c, kernel.Instruction{Code: opEq, K: v, Jt: uint8(len(values) - i)})
	}
	return append(c, ret(otherwise))
}

// noneOf returns then when the loaded word is one of the values, and allows otherwise.
func noneOf(then uint32, values ...uint32) code {
	var c code
	for _, v := range values {
		c = append(c, kernel.Instruction{Code: opEq, K: v, Jf: 1}, ret(then))
	}
	return append(c, ret(actAllow))
}

const anyNamespace = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET // CLONE_NEWTIME cannot be given to clone(2)

// checkClone refuses new namespaces: in a new user namespace the agent would
// have capabilities again, and much more of the kernel to attack.
func checkClone() code {
	return code{arg(0), {Code: opSet, K: anyNamespace, Jf: 1}, ret(actEPERM), ret(actAllow)}
}

func checkUnshare() code {
	return code{arg(0), {Code: opSet, K: anyNamespace | unix.CLONE_NEWTIME, Jf: 1}, ret(actEPERM), ret(actAllow)}
}

// checkIoctl refuses putting words into a terminal's input, which the person's
// shell would run once the agent has ended, and loading line disciplines.
func checkIoctl() code {
	return append(code{arg(1)}, noneOf(actEPERM, unix.TIOCSTI, tiocLinux, unix.TIOCSETD, unix.TIOCCONS)...)
}

const tiocLinux = 0x541c

// checkSocket allows stream and datagram sockets of the Unix and IP families.
// Netlink is not among them: it configures much of the kernel, and getaddrinfo(3)
// does without it.
func checkSocket() code {
	c := append(code{arg(0)}, oneOf(actAFNO, unix.AF_UNIX, unix.AF_INET, unix.AF_INET6)...)
	c = append(c, arg(1), kernel.Instruction{Code: opAnd, K: 0xf})
	c = append(c, oneOf(actEPERM, unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET)...)
	c = append(c, arg(2))
	c = append(c, oneOf(actPROTO, 0, unix.IPPROTO_TCP, unix.IPPROTO_UDP)...)
	return append(c, ret(actAllow))
}

func checkPair() code {
	return append(append(code{arg(0)}, oneOf(actAFNO, unix.AF_UNIX)...), ret(actAllow))
}

// checkPersonality allows asking and the default, not the flags that weaken the
// process's own defences.
func checkPersonality() code {
	return append(append(code{arg(0)}, oneOf(actEPERM, 0, 0xffffffff)...), ret(actAllow))
}

// setuid is the mode bit with which a file that the agent leaves in a workspace
// would lend the person's rights, or root's, to whoever runs it later.
const setuid = unix.S_ISUID

// checkMode refuses a mode with the setuid bit, in the numbered argument.
func checkMode(n int) code {
	return code{arg(n), {Code: opSet, K: setuid, Jf: 1}, ret(actEPERM), ret(actAllow)}
}

// checkOpen does the same where the mode counts only when a file is made.
func checkOpen(flags int) code {
	return append(code{arg(flags), {Code: opSet, K: unix.O_CREAT | unix.O_TMPFILE&^unix.O_DIRECTORY, Jt: 1}, ret(actAllow)}, checkMode(flags+1)...)
}

// modeRules are the calls that give a file its mode.
func modeRules() []rule {
	return append(archModeRules(), rule{unix.SYS_FCHMOD, checkMode(1)}, rule{unix.SYS_FCHMODAT, checkMode(2)}, rule{unix.SYS_FCHMODAT2, checkMode(2)},
		rule{unix.SYS_MKNODAT, checkMode(2)}, rule{unix.SYS_OPENAT, checkOpen(2)})
}

// rule is what a filter does with one system call.
type rule struct {
	nr uint32
	do code
}

// agentFilter is the filter of everything in the sandbox but init: a list of
// what is allowed. What is dangerous answers EPERM, the rest ENOSYS, so that
// programs fall back as on an older kernel. clone3 and openat2 are unknown on
// purpose: their flags lie in memory, where a filter cannot see them.
func agentFilter() code {
	var rules []rule
	for _, nr := range slices.Concat(allowedCalls(), archAllowed()) {
		rules = append(rules, rule{nr, doAllow})
	}
	for _, nr := range slices.Concat(dangerousCalls(), archDangerous(), foreignMemory()) {
		rules = append(rules, rule{nr, doEPERM})
	}
	rules = append(rules,
		rule{unix.SYS_CLONE, checkClone()}, rule{unix.SYS_IOCTL, checkIoctl()},
		rule{unix.SYS_SOCKET, checkSocket()}, rule{unix.SYS_SOCKETPAIR, checkPair()},
		rule{unix.SYS_PERSONALITY, checkPersonality()})
	return assemble(append(rules, modeRules()...), actENOSY)
}

// initFilter is the filter of init: it needs to read the agent's memory and to
// start it, and nothing that makes mounts or namespaces.
func initFilter() code {
	var rules []rule
	for _, nr := range slices.Concat(dangerousCalls(), archDangerous()) {
		if nr != unix.SYS_UNSHARE {
			rules = append(rules, rule{nr, doEPERM})
		}
	}
	rules = append(rules, rule{unix.SYS_UNSHARE, checkUnshare()}, // the warden's threads need a directory and a mask of their own
		rule{unix.SYS_CLONE, checkClone()}, rule{unix.SYS_IOCTL, checkIoctl()}, rule{sysClone3, code{ret(actENOSY)}})
	return assemble(rules, actAllow)
}

const sysClone3 = 435

// What most rules do. They are shared: at the start of a task every allocation
// counts.
var (
	doAllow = code{ret(actAllow)}
	doEPERM = code{ret(actEPERM)}
)

// assemble writes the program: foreign architectures die, then a binary search
// over the numbers.
func assemble(rules []rule, otherwise uint32) code {
	slices.SortFunc(rules, func(a, b rule) int { return int(a.nr) - int(b.nr) })
	runs := spans(rules, otherwise)
	c := make(code, 0, size(runs)+6)
	c = append(c, kernel.Instruction{Code: opLoad, K: offArch}, kernel.Instruction{Code: opEq, K: auditArch, Jt: 1}, ret(actKill),
		kernel.Instruction{Code: opLoad, K: offNr})
	if x32Bit != 0 {
		c = append(c, kernel.Instruction{Code: opGE, K: x32Bit, Jf: 1}, ret(actKill))
	}
	return branch(c, runs)
}

// spans turns rules for single numbers into runs that begin at a number and do
// the same.
func spans(rules []rule, otherwise uint32) []rule {
	other := code{ret(otherwise)}
	out := append(make([]rule, 0, 2*len(rules)+1), rule{0, other})
	add := func(nr uint32, do code) {
		last := &out[len(out)-1]
		switch {
		case last.nr == nr:
			last.do = do
		case slices.Equal(last.do, do):
			return
		default:
			out = append(out, rule{nr, do})
		}
	}
	for _, r := range rules {
		add(r.nr, r.do)
		add(r.nr+1, other)
	}
	return out
}

// size is how many instructions branch appends.
func size(s []rule) int {
	if len(s) == 1 {
		return len(s[0].do)
	}
	left := size(s[:len(s)/2])
	n := 1
	if left > 255 {
		n = 2
	}
	return n + left + size(s[len(s)/2:])
}

// branch appends a search among the runs.
func branch(c code, s []rule) code {
	if len(s) == 1 {
		return append(c, s[0].do...)
	}
	mid := len(s) / 2
	if left := size(s[:mid]); left <= 255 {
		c = append(c, kernel.Instruction{Code: opGE, K: s[mid].nr, Jt: uint8(left)})
	} else {
		c = append(c, kernel.Instruction{Code: opGE, K: s[mid].nr, Jf: 1}, kernel.Instruction{Code: opJump, K: uint32(left)})
	}
	return branch(branch(c, s[:mid]), s[mid:])
}

// encode writes a program as the plan carries it.
func encode(c code) string {
	var b strings.Builder
	b.Grow(len(c) * int(unsafe.Sizeof(kernel.Instruction{})))
	for _, i := range c {
		b.Write([]byte{byte(i.Code), byte(i.Code >> 8), i.Jt, i.Jf, byte(i.K), byte(i.K >> 8), byte(i.K >> 16), byte(i.K >> 24)})
	}
	return b.String()
}
