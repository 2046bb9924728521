package git

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// Format is how a repository names its objects. The zero value is SHA-1.
type Format uint8

// The formats (gitformat-hash-function-transition).
const (
	SHA1 Format = iota
	SHA256
)

// String is the format's name on the wire.
func (f Format) String() string {
	if f == SHA256 {
		return "sha256"
	}
	return "sha1"
}

// bytes is the length of a name, in bytes.
func (f Format) bytes() int {
	if f == SHA256 {
		return sha256.Size
	}
	return sha1.Size
}

func (f Format) hash() hash.Hash {
	if f == SHA256 {
		return sha256.New()
	}
	return sha1.New()
}

// isID says whether s is an object's name in hexadecimal.
func (f Format) isID(s string) bool {
	if len(s) != 2*f.bytes() {
		return false
	}
	for i := range len(s) {
		if hexDigit(s[i]) < 0 {
			return false
		}
	}
	return true
}

// name is the name of an object with a type and contents.
func (f Format) name(h hash.Hash, head string, content []byte) string {
	h.Reset()
	h.Write([]byte(head))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}
