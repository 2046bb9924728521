package grants

import "strings"

// Sets of letters for the words of a file. They are looked through by hand:
// compiling expressions would cost more than all the rest of loading a file.
const (
	small   = "abcdefghijklmnopqrstuvwxyz"
	capital = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// shaped says whether s has 1 to most letters, of which the first is in first
// and the others in rest.
func shaped(s, first, rest string, most int) bool {
	return s != "" && len(s) <= most && only(s[:1], first) && only(s[1:], rest)
}

func only(s, set string) bool {
	for i := range len(s) {
		if strings.IndexByte(set, s[i]) < 0 {
			return false
		}
	}
	return true
}

func agentName(s string) bool {
	return shaped(s, small+digits, small+digits+"-", 63) && !strings.HasSuffix(s, "-")
}

func serviceName(s string) bool { return shaped(s, small, small+digits+"-", 40) }

func envName(s string) bool {
	return shaped(s, small+capital+"_", small+capital+digits+"_", 64)
}

// credentialName is a variable's name in capital letters: a secret written
// there by mistake is seldom one.
func credentialName(s string) bool { return shaped(s, capital+"_", capital+digits+"_", 64) }

// hostLabel is one label of a host name in its plain form (RFC 1123 section
// 2.1), with the underscore that is seen in practice.
func hostLabel(s string) bool {
	return shaped(s, small+digits+"_", small+digits+"_-", 63) && !strings.HasSuffix(s, "-")
}

// headerName is a field's name (RFC 9110 section 5.6.2).
func headerName(s string) bool {
	const token = small + capital + digits + "!#$%&'*+.^_|~-"
	return shaped(s, token, token, 64)
}

// basicUser is a user name of basic authentication, which has no colon (RFC
// 7617 section 2).
func basicUser(s string) bool {
	return len(s) <= 128 && visibleASCII(s, "") && !strings.Contains(s, ":")
}

func queryName(s string) bool {
	const unreserved = small + capital + digits + "._~-"
	return shaped(s, unreserved, unreserved, 64)
}

func headerFormat(s string) bool { return len(s) <= 256 && visibleASCII(s, " ") }

func visibleASCII(s, also string) bool {
	for i := range len(s) {
		if (s[i] <= ' ' || s[i] > '~') && strings.IndexByte(also, s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// count reads a whole number without sign or leading zero, of at most nine
// digits; -1 for anything else.
func count(s string) int {
	if !shaped(s, digits, digits, 9) || (len(s) > 1 && s[0] == '0') {
		return -1
	}
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// leading cuts a whole number off the beginning of s.
func leading(s string) (n int, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return count(s[:i]), s[i:]
}

// decodeOnce undoes percent-encoding (RFC 3986 section 2.1) once; ok is false
// for a "%" that no two hexadecimal digits follow.
func decodeOnce(s string) (out string, ok bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), true
}

func hexDigit(c byte) int {
	return strings.IndexByte("0123456789abcdef", lower(string(c))[0])
}
