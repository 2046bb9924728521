package sql

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// scramSHA256 is the one mechanism that is spoken (RFC 5802, RFC 7677).
const scramSHA256 = "SCRAM-SHA-256"

// Bounds of what a server may ask for.
const (
	minRounds = 4096
	maxRounds = 1 << 20
)

// scram is one proof of a password. The password itself is never sent, and the
// server proves that it knows it too.
type scram struct {
	password  []byte
	first     string // client-first-message-bare
	nonce     string
	signature []byte // that the server must send
}

func newSCRAM(mechanisms []string, password []byte) (*scram, error) {
	if !slices.Contains(mechanisms, scramSHA256) {
		return nil, errors.New("the database offers no " + scramSHA256 + "; set password_encryption there to scram-sha-256")
	}
	// The lease's password is ASCII, so that SASLprep (RFC 4013) changes nothing.
	for _, c := range password {
		if c < ' ' || c > '~' {
			return nil, errors.New("the lease's password is not printable ASCII")
		}
	}
	nonce := rand.Text()
	return &scram{password: password, nonce: nonce, first: "n=,r=" + nonce}, nil
}

// begin is the client's first message. "n" says that no channel is bound.
func (s *scram) begin() []byte { return []byte("n,," + s.first) }

// answer makes the client's final message of the server's first.
func (s *scram) answer(challenge []byte) ([]byte, error) {
	fields := strings.Split(string(challenge), ",")
	if len(fields) < 3 {
		return nil, errors.New("the database's challenge is not in order")
	}
	nonce, ok1 := strings.CutPrefix(fields[0], "r=")
	saltText, ok2 := strings.CutPrefix(fields[1], "s=")
	roundsText, ok3 := strings.CutPrefix(fields[2], "i=")
	salt, err := base64.StdEncoding.DecodeString(saltText)
	rounds, err2 := strconv.Atoi(roundsText)
	switch {
	case !ok1 || !ok2 || !ok3 || err != nil || err2 != nil || len(salt) == 0:
		return nil, errors.New("the database's challenge is not in order")
	case !strings.HasPrefix(nonce, s.nonce) || len(nonce) == len(s.nonce):
		return nil, errors.New("the database's challenge answers another question")
	case rounds < minRounds || rounds > maxRounds:
		return nil, errors.New("the database asks for " + roundsText + " rounds, which is too few or too many")
	}
	salted, err := pbkdf2.Key(sha256.New, string(s.password), salt, rounds, sha256.Size)
	if err != nil {
		return nil, err
	}
	final := "c=biws,r=" + nonce // base64 of "n,,"
	auth := []byte(s.first + "," + string(challenge) + "," + final)
	key := mac(salted, []byte("Client Key"))
	stored := sha256.Sum256(key)
	proof := mac(stored[:], auth)
	for i := range proof {
		proof[i] ^= key[i]
	}
	s.signature = mac(mac(salted, []byte("Server Key")), auth)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// verify checks that the server knows the password.
func (s *scram) verify(final []byte) error {
	text, ok := bytes.CutPrefix(final, []byte("v="))
	got, err := base64.StdEncoding.DecodeString(string(text))
	if !ok || err != nil || len(s.signature) == 0 || !hmac.Equal(got, s.signature) {
		return errors.New("the database did not prove that it knows the role")
	}
	return nil
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}
