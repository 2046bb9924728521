package kernel

import (
	"syscall"
	"unsafe"
)

// Landlock's rights over files (linux/landlock.h), with the ABI that brought them.
const (
	LLExecute uint64 = 1 << iota
	LLWriteFile
	LLReadFile
	LLReadDir
	LLRemoveDir
	LLRemoveFile
	LLMakeChar
	LLMakeDir
	LLMakeReg
	LLMakeSock
	LLMakeFifo
	LLMakeBlock
	LLMakeSym
	LLRefer    // ABI 2
	LLTruncate // ABI 3
	LLIoctlDev // ABI 5
)

// Landlock's rights over the network (ABI 4) and its scopes (ABI 6).
const (
	LLBindTCP       uint64 = 1
	LLConnectTCP    uint64 = 2
	LLScopeAbstract uint64 = 1
	LLScopeSignal   uint64 = 2
)

// LLFile are the rights that a rule on something other than a directory may hold.
const LLFile = LLExecute | LLWriteFile | LLReadFile | LLTruncate | LLIoctlDev

const (
	llRulePath = 1
	llRulePort = 2

	sysLandlockAdd = 445
)

// Numbers of landlock_create_ruleset(2) and landlock_restrict_self(2), for filters
// and for callers that must make every thread call it.
const (
	SysLandlockCreate   = 444
	SysLandlockRestrict = 446
)

// LandlockABI returns the kernel's Landlock ABI; 0 when there is none.
func LandlockABI() int {
	n, err := call(SysLandlockCreate, 0, 0, 1)
	if err != nil {
		return 0
	}
	return n
}

// LandlockHandled returns the file rights that an ABI knows.
func LandlockHandled(abi int) uint64 {
	all := LLRefer - 1
	if abi >= 2 {
		all |= LLRefer
	}
	if abi >= 3 {
		all |= LLTruncate
	}
	if abi >= 5 {
		all |= LLIoctlDev
	}
	return all
}

type rulesetAttr struct{ fs, net, scoped uint64 }

// NewRuleset makes a ruleset that handles the given rights. Fields that the
// kernel's ABI does not know must be zero.
func NewRuleset(fs, net, scoped uint64) (int, error) {
	a := rulesetAttr{fs, net, scoped}
	size := unsafe.Sizeof(a)
	if scoped == 0 {
		size = 16
		if net == 0 {
			size = 8
		}
	}
	return call(SysLandlockCreate, uintptr(unsafe.Pointer(&a)), size, 0)
}

// AllowPath adds a rule: everything at and below fd may be used with rights.
func AllowPath(ruleset, fd int, rights uint64) error {
	// struct landlock_path_beneath_attr is packed: 8 bytes of rights, 4 of descriptor.
	var a [12]byte
	for i := range 8 {
		a[i] = byte(rights >> (8 * i)) // every supported architecture is little-endian
	}
	for i := range 4 {
		a[8+i] = byte(fd >> (8 * i))
	}
	_, err := call(sysLandlockAdd, uintptr(ruleset), llRulePath, uintptr(unsafe.Pointer(&a)), 0)
	return err
}

// AllowPort adds a rule for one TCP port.
func AllowPort(ruleset int, port uint16, rights uint64) error {
	a := [2]uint64{rights, uint64(port)}
	_, err := call(sysLandlockAdd, uintptr(ruleset), llRulePort, uintptr(unsafe.Pointer(&a)), 0)
	return err
}

// Restrict puts the calling thread under the ruleset. It needs no_new_privs.
func Restrict(ruleset int) error {
	_, err := call(SysLandlockRestrict, uintptr(ruleset), 0)
	return err
}

// IsDir says whether fd is a directory.
func IsDir(fd int) (bool, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return false, err
	}
	return st.Mode&syscall.S_IFMT == syscall.S_IFDIR, nil
}
